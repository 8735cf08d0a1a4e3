/* hh_vacancy.h - HH's vacancies as jobs of the catalogue. Pure.
 *
 * HH leaves out, or makes null, whatever it likes: only an id is indispensable. What does not fit
 * the catalogue is cut or left out, so that one odd vacancy never costs its page.
 */
#ifndef HH_CLIENT_HH_VACANCY_H
#define HH_CLIENT_HH_VACANCY_H

#include <jansson.h>

#include "base/arena.h"
#include "proto/catalogue.h"

/* Reads the answer to a search for that page. Texts live in arena. Returns 0, -EBADMSG when it is
 * no such answer, or -ENOMEM. */
int hh_vacancy_page(const json_t *body, int64_t page, int64_t per_page, struct arena *arena,
		    struct jobs_page *out) __attribute__((warn_unused_result));

/* Reads a vacancy with all its details, as hh_vacancy_page() does. */
int hh_vacancy_details(const json_t *body, struct arena *arena, struct job *out)
	__attribute__((warn_unused_result));

/* HH's "2026-11-20T09:15:30+0300" as "2026-11-20T06:15:30Z" in arena; NULL when it is no time. */
const char *hh_vacancy_time(const char *text, struct arena *arena);

#endif
