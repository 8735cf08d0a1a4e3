/* prefault.h - the pages that the copies of a process will touch, had at once instead of one by one.
 *
 * After a fork most pages are unmapped, or copied at the first write; each costs a trap, which on a
 * virtual machine is most of what a birth costs. What is touched is much the same in each copy: so one
 * that rehearses looks afterwards which pages it has (Linux, Documentation/admin-guide/mm/pagemap.rst),
 * and every other asks for just these, a row at a time (madvise(2), MADV_POPULATE_READ and _WRITE of
 * Linux 5.14). Where any of this cannot be had, pages come one by one as ever: nothing here fails.
 */
#ifndef ACTORS_RUNTIME_PREFAULT_H
#define ACTORS_RUNTIME_PREFAULT_H

/* Runs rehearsal in a child that ends with it, and notes which pages of this process it read or wrote.
 * It may start threads and open what it likes; it must come to an end. Waits for it. */
void prefault_learn(void (*rehearsal)(void));

/* In a copy of the process that has learned: has those pages, before it needs them. */
void prefault(void);

#endif
