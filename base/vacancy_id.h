/* vacancy_id.h - what can be the id of a vacancy at HH: its ids are decimal digits. */
#ifndef BASE_VACANCY_ID_H
#define BASE_VACANCY_ID_H

#include <stdbool.h>
#include <string.h>

#define VACANCY_IDS_ARE "HH's ids are digits"

/* Whether HH can have a vacancy of that id; "" is none. */
static inline bool vacancy_id_is_possible(const char *id)
{
	return id[0] != '\0' && id[strspn(id, "0123456789")] == '\0';
}

#endif
