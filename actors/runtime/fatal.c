/* fatal.c - a fatal signal writes the backtrace into the note, and then kills as it would have.
 *
 * The handler runs on a stack of its own (the fault may be a stack that is full) and calls nothing
 * that allocates or could wait for a lock that the interrupted code holds: backtrace() finds its way
 * by _dl_find_object(), which has none, and was called once before, so that libgcc is loaded. Names
 * of our own functions come from the symbol table of the program file, which is read here, because
 * static functions are not among the symbols that ld.so knows; for libraries its nearest symbol has
 * to do. The signal is noted before anything else, so that whatever goes wrong costs no more than
 * the rest of the frames; and a handler that hangs misses its heartbeat and is killed.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "actors/runtime/internal.h"

#define STACK_BYTES  32768
#define SYMBOL_BATCH 64

/* Frames of this handler, and of a sanitizer's around it, that may come before the interrupted one. */
#define OWN_FRAMES   8

/* What a bug, libc's abort() or a resource limit ends a process with. */
static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};

/* The program's first byte in memory, by the linker: what its symbols' values are relative to. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static struct control_note *note;

/* A frame of our own program while its name is looked for. */
struct own_frame {
	uint64_t offset; /* in the program */
	uint64_t start;	 /* of the best symbol so far */
	uint32_t name;	 /* its place in the string table; 0: none yet */
	uint32_t index;	 /* in the note */
};

/* The program file's symbol table. */
struct symbols {
	int fd;
	Elf64_Shdr table;
	Elf64_Shdr strings;
};

/* --- texts, by hand --- */

static size_t add_text(char *to, size_t used, const char *text)
{
	while (*text != '\0' && used < CONTROL_FRAME_SIZE - 1)
		to[used++] = *text++;
	to[used] = '\0';
	return used;
}

static size_t add_hex(char *to, size_t used, uint64_t value)
{
	char digits[19];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value != 0);
	digits[--at] = 'x';
	digits[--at] = '0';
	return add_text(to, used, digits + at);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* --- the program's own symbols --- */

static bool read_at(int fd, void *to, size_t size, uint64_t offset)
{
	return pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

/* Opens the program's symbol table. Returns false when it has none: it was stripped. */
static bool symbols_open(struct symbols *s)
{
	Elf64_Ehdr head;

	s->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || !read_at(s->fd, &head, sizeof(head), 0) ||
	    head.e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	for (uint64_t i = 0; i < head.e_shnum; i++) {
		if (!read_at(s->fd, &s->table, sizeof(s->table),
			     head.e_shoff + i * sizeof(s->table)))
			return false;
		if (s->table.sh_type == SHT_SYMTAB)
			return read_at(s->fd, &s->strings, sizeof(s->strings),
				       head.e_shoff + s->table.sh_link * sizeof(s->strings));
	}
	return false;
}

static void match(struct own_frame *frames, size_t count, const Elf64_Sym *symbol)
{
	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_name == 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (frames[i].offset >= symbol->st_value &&
		    frames[i].offset < symbol->st_value + symbol->st_size) {
			frames[i].start = symbol->st_value;
			frames[i].name = symbol->st_name;
		}
}

static void name_frames(const struct symbols *s, struct own_frame *frames, size_t count)
{
	static Elf64_Sym batch[SYMBOL_BATCH];
	const uint64_t total = s->table.sh_size / sizeof(batch[0]);

	for (uint64_t at = 0; at < total; at += SYMBOL_BATCH) {
		uint64_t n = total - at < SYMBOL_BATCH ? total - at : SYMBOL_BATCH;

		if (!read_at(s->fd, batch, n * sizeof(batch[0]),
			     s->table.sh_offset + at * sizeof(batch[0])))
			return;
		for (uint64_t i = 0; i < n; i++)
			match(frames, count, &batch[i]);
	}
}

/* "on_search+0x1f" instead of the offset. */
static void write_name(const struct symbols *s, const struct own_frame *frame)
{
	char *text = note->frames[frame->index];
	char name[CONTROL_FRAME_SIZE - 24];
	ssize_t got =
		pread(s->fd, name, sizeof(name) - 1, (off_t)(s->strings.sh_offset + frame->name));
	size_t used;

	if (frame->name == 0 || got <= 0)
		return;
	name[got] = '\0';
	used = add_text(text, 0, name);
	used = add_text(text, used, "+");
	(void)add_hex(text, used, frame->offset - frame->start);
}

/* --- frames --- */

/* "store+0x2f31", or "libc.so.6(abort+0xd3)". What can be said without the program's file. */
static void write_frame(char *text, uintptr_t address, const char *program)
{
	Dl_info info;
	size_t used;

	if (program != NULL) {
		used = add_text(text, 0, program);
		used = add_text(text, used, "+");
		(void)add_hex(text, used, address - (uintptr_t)__ehdr_start);
		return;
	}
	/* it came from a register, as a number. NOLINTNEXTLINE(performance-no-int-to-ptr) */
	if (dladdr((const void *)address, &info) == 0 || info.dli_fname == NULL) {
		(void)add_hex(text, 0, address);
		return;
	}
	used = add_text(text, 0, base_name(info.dli_fname));
	used = add_text(text, used, "(");
	used = add_text(text, used, info.dli_sname == NULL ? "" : info.dli_sname);
	used = add_text(text, used, "+");
	used = add_hex(
		text, used,
		address - (uintptr_t)(info.dli_sname == NULL ? info.dli_fbase : info.dli_saddr));
	(void)add_text(text, used, ")");
}

/* Where the signal found the program; 0 where we do not know how to ask. */
static uintptr_t interrupted_at(const void *context)
{
	const ucontext_t *uc = context;

#if defined(__x86_64__)
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)uc->uc_mcontext.pc;
#else
	(void)uc;
	return 0;
#endif
}

/* The first frame that is not the handler's own. */
static int first_frame(void *const *addresses, int count, uintptr_t interrupted)
{
	for (int i = 0; i < count && i <= OWN_FRAMES; i++)
		if ((uintptr_t)addresses[i] == interrupted)
			return i;
	return 0;
}

static void write_backtrace(uintptr_t interrupted)
{
	static void *addresses[CONTROL_FRAMES_MAX + OWN_FRAMES];
	static struct own_frame own[CONTROL_FRAMES_MAX];
	struct symbols symbols;
	int count = backtrace(addresses, CONTROL_FRAMES_MAX + OWN_FRAMES);
	const int first = first_frame(addresses, count, interrupted);
	size_t own_count = 0;

	for (int i = first; i < count && i < first + CONTROL_FRAMES_MAX; i++) {
		/* A return address is that of the next instruction, which may be another function. */
		uintptr_t address = (uintptr_t)addresses[i] - (i > first ? 1 : 0);
		bool ours = address >= (uintptr_t)__ehdr_start && address < (uintptr_t)_end;
		uint32_t index = note->frame_count;

		write_frame(note->frames[index], address,
			    ours ? program_invocation_short_name : NULL);
		note->frame_count = index + 1;
		if (ours)
			own[own_count++] = (struct own_frame){
				.offset = address - (uintptr_t)__ehdr_start, .index = index};
	}
	if (!symbols_open(&symbols))
		return;
	name_frames(&symbols, own, own_count);
	for (size_t i = 0; i < own_count; i++)
		write_name(&symbols, &own[i]);
}

/* SA_RESETHAND: the signal has its default action again, and comes a second time at our end. */
static void on_fatal_signal(int sig, siginfo_t *info, void *context)
{
	if (note->signal == 0) { /* else another thread was first, or this handler faulted */
		note->outside = info->si_code <= 0 && info->si_pid != getpid();
		note->signal = sig;
		write_backtrace(interrupted_at(context));
	}
	(void)raise(sig);
}

void fatal_signals_open(struct control_note *where)
{
	static char stack[STACK_BYTES];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = on_fatal_signal,
				   .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_ONSTACK)};
	struct sigaction before;
	void *warm_up[1];

	note = where;
	(void)backtrace(warm_up, 1); /* loads libgcc now, not in the handler */
	(void)sigemptyset(&action.sa_mask);
	(void)sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]); i++)
		/* A sanitizer that has taken one says more than we could. */
		if (sigaction(fatal_signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			(void)sigaction(fatal_signals[i], &action, NULL);
}
