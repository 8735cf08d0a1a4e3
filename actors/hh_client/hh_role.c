/* hh_role.c - a table of parts of titles, the first that fits; see hh_role.h. */
#include "actors/hh_client/hh_role.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_words.h"

#define ROLE_OTHER "40"

/* The first row that the title has decides, so the particular stand before the general. Parts are in
 * small letters; one that begins or ends with a bar has to begin or end a word. */
static const struct {
	const char *part;
	const char *role;
} roles[] = {
	{"|cto|", "125"},
	{"технический директор", "125"},
	{"chief technology officer", "125"},
	{"|cio|", "36"},
	{"chief information officer", "36"},
	{"it-директор", "36"},
	{"it директор", "36"},
	{"ит-директор", "36"},
	{"директор по информационным", "36"},
	{"директор по it", "36"},
	{"директор по ит|", "36"},
	{"it director", "36"},
	{"арт-директор", "12"},
	{"арт директор", "12"},
	{"art director", "12"},
	{"art-director", "12"},
	{"head of analytics", "157"},
	{"head of data", "157"},
	{"руководитель отдела аналит", "157"},
	{"руководитель аналит", "157"},
	{"руководитель группы аналит", "157"},
	{"начальник отдела аналит", "157"},
	{"team lead", "104"},
	{"teamlead", "104"},
	{"team-lead", "104"},
	{"tech lead", "104"},
	{"techlead", "104"},
	{"engineering manager", "104"},
	{"head of development", "104"},
	{"тимлид", "104"},
	{"тим-лид", "104"},
	{"техлид", "104"},
	{"руководитель группы разраб", "104"},
	{"руководитель отдела разраб", "104"},
	{"руководитель команды разраб", "104"},
	{"руководитель разраб", "104"},
	{"начальник отдела разраб", "104"},
	{"product analyst", "164"},
	{"продуктовый аналитик", "164"},
	{"аналитик продукт", "164"},
	{"product manager", "73"},
	{"product-manager", "73"},
	{"product owner", "73"},
	{"продакт", "73"},
	{"продукт-менеджер", "73"},
	{"менеджер продукт", "73"},
	{"менеджер по продукт", "73"},
	{"владелец продукт", "73"},
	{"руководитель продукт", "73"},
	{"project manager", "107"},
	{"project-manager", "107"},
	{"program manager", "107"},
	{"delivery manager", "107"},
	{"scrum master", "107"},
	{"scrum-master", "107"},
	{"скрам-мастер", "107"},
	{"проджект", "107"},
	{"руководитель проект", "107"},
	{"менеджер проект", "107"},
	{"менеджер it-проект", "107"},
	{"менеджер ит-проект", "107"},
	{"менеджер по проект", "107"},
	{"data scien", "165"},
	{"дата-сайентист", "165"},
	{"дата сайентист", "165"},
	{"machine learning", "165"},
	{"машинному обучению", "165"},
	{"машинного обучения", "165"},
	{"deep learning", "165"},
	{"|ml|", "165"},
	{"data analyst", "156"},
	{"аналитик данных", "156"},
	{"аналитик bi|", "156"},
	{"|bi|", "156"},
	{"system analyst", "148"},
	{"systems analyst", "148"},
	{"системный аналитик", "148"},
	{"business analyst", "150"},
	{"бизнес-аналитик", "150"},
	{"бизнес аналитик", "150"},
	{"devops", "160"},
	{"девопс", "160"},
	{"|sre|", "160"},
	{"site reliability", "160"},
	{"|qa|", "124"},
	{"тестировщи", "124"},
	{"тестирован", "124"},
	{"|tester|", "124"},
	{"test engineer", "124"},
	{"test automation", "124"},
	{"quality assurance", "124"},
	{"|sdet|", "124"},
	{"information security", "116"},
	{"security engineer", "116"},
	{"security analyst", "116"},
	{"security specialist", "116"},
	{"cybersecurity", "116"},
	{"информационной безопасност", "116"},
	{"кибербезопасност", "116"},
	{"пентест", "116"},
	{"pentest", "116"},
	{"network engineer", "112"},
	{"сетевой инженер", "112"},
	{"system administrator", "113"},
	{"systems administrator", "113"},
	{"sysadmin", "113"},
	{"системный администратор", "113"},
	{"сисадмин", "113"},
	{"system engineer", "114"},
	{"systems engineer", "114"},
	{"системный инженер", "114"},
	{"technical writer", "126"},
	{"технический писатель", "126"},
	{"техписатель", "126"},
	{"game design", "25"},
	{"геймдизайн", "25"},
	{"гейм-дизайн", "25"},
	{"designer", "34"},
	{"дизайнер", "34"},
	{"|ux|", "34"},
	{"методолог", "155"},
	{"методист", "155"},
	{"methodolog", "155"},
	{"support", "121"},
	{"поддержк", "121"},
	{"helpdesk", "121"},
	{"help desk", "121"},
	{"программист", "96"},
	{"разработчик", "96"},
	{"разработчица", "96"},
	{"developer", "96"},
	{"programmer", "96"},
	{"software engineer", "96"},
	{"software architect", "96"},
	{"backend", "96"},
	{"back-end", "96"},
	{"бэкенд", "96"},
	{"frontend", "96"},
	{"front-end", "96"},
	{"фронтенд", "96"},
	{"fullstack", "96"},
	{"full-stack", "96"},
	{"full stack", "96"},
	{"фулстек", "96"},
	{"верстальщик", "96"},
	{"аналитик", "10"},
	{"analyst", "10"},
	{"python", "96"},
	{"|java|", "96"},
	{"javascript", "96"},
	{"|golang|", "96"},
	{"|php|", "96"},
	{"|c++|", "96"},
	{"|c#|", "96"},
	{"|.net|", "96"},
	{"|1c|", "96"},
	{"|1с|", "96"},
	/* Managers of what has roles of its own are not ours to tell apart. */
	{"продаж", ROLE_OTHER},
	{"sales", ROLE_OTHER},
	{"account manager", ROLE_OTHER},
	{"|hr|", ROLE_OTHER},
	{"персонал", ROLE_OTHER},
	{"office manager", ROLE_OTHER},
	{"офис-менеджер", ROLE_OTHER},
	{"маркетинг", ROLE_OTHER},
	{"marketing", ROLE_OTHER},
	{"закуп", ROLE_OTHER},
	{"менеджер", "107"},
	{"manager", "107"},
};

static bool letter(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Whether title has part, a bar of which is the edge of a word. */
static bool has(const char *title, const char *part)
{
	bool begins = part[0] == '|';
	size_t len;

	part += begins ? 1 : 0;
	len = strcspn(part, "|");
	for (const char *at = title; *at != '\0'; at++)
		if (strncmp(at, part, len) == 0 && !(begins && at > title && letter(at[-1])) &&
		    !(part[len] == '|' && letter(at[len])))
			return true;
	return false;
}

const char *hh_role_of(const char *title)
{
	char *lower = hh_words_lower(title);
	const char *role = ROLE_OTHER;

	if (lower == NULL)
		return role;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (has(lower, roles[i].part)) {
			role = roles[i].role;
			break;
		}
	free(lower);
	return role;
}
