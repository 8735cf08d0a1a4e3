/* hh_role.h - a resume's title as one of HH's professional roles. Pure. */
#ifndef HH_CLIENT_HH_ROLE_H
#define HH_CLIENT_HH_ROLE_H

/* HH's id of the role that title, in Russian or English, speaks of; "40" (other) when it is none
 * that we know. Static. */
const char *hh_role_of(const char *title);

#endif
