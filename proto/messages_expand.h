/* messages_expand.h - includes messages.def with the macros that the includer defined; those it did
 * not care for expand to nothing, and all are undefined after. Meant to be included many times.
 */
#ifndef RECORD
#define RECORD(name, doc)
#endif
#ifndef END
#define END(name)
#endif
#ifndef STR
#define STR(name, min, max, need, doc)
#endif
#ifndef UUID
#define UUID(name, need, doc)
#endif
#ifndef INT
#define INT(name, min, max, need, doc)
#endif
#ifndef OPT_INT
#define OPT_INT(name, min, max, doc)
#endif
#ifndef REAL
#define REAL(name, need, doc)
#endif
#ifndef BOOL
#define BOOL(name, need, doc)
#endif
#ifndef STRS
#define STRS(name, max, len, need, doc)
#endif
#ifndef JSON
#define JSON(name, max, need, doc)
#endif
#ifndef OBJ
#define OBJ(name, record, need, doc)
#endif
#ifndef LIST
#define LIST(name, record, max, need, doc)
#endif
#ifndef CALL
#define CALL(id, method, receiver, request, reply, timeout_ms, flags, doc)
#endif
#ifndef CAST
#define CAST(id, method, receiver, record, flags, doc)
#endif

#include "proto/messages.def"

#undef RECORD
#undef END
#undef STR
#undef UUID
#undef INT
#undef OPT_INT
#undef REAL
#undef BOOL
#undef STRS
#undef JSON
#undef OBJ
#undef LIST
#undef CALL
#undef CAST
