"""Reference data of the simulated HH: dictionaries, areas, professional roles, and the routes that serve them.

The ids are HH's own where clients depend on them (Moscow is "1", a programmer is role "96"); the lists are
shorter than the real ones, so a client must not take an id missing here for a mistake of its user.
"""
import hashlib
import json
import time

from aiohttp import web

from errors import not_found

# Clients may keep reference data for this long; afterwards they ask again with If-None-Match.
MAX_AGE_S = 1200


def _entries(*pairs):
    return [{"id": key, "name": name} for key, name in pairs]


EXPERIENCE = _entries(("noExperience", "Нет опыта"), ("between1And3", "От 1 года до 3 лет"),
                      ("between3And6", "От 3 до 6 лет"), ("moreThan6", "Более 6 лет"))
EMPLOYMENT = _entries(("full", "Полная занятость"), ("part", "Частичная занятость"),
                      ("project", "Проектная работа"), ("volunteer", "Волонтерство"), ("probation", "Стажировка"))
SCHEDULE = _entries(("fullDay", "Полный день"), ("shift", "Сменный график"), ("flexible", "Гибкий график"),
                    ("remote", "Удаленная работа"), ("flyInFlyOut", "Вахтовый метод"))
EMPLOYMENT_FORM = _entries(("FULL", "Полная"), ("PART", "Частичная"), ("PROJECT", "Проект или разовое задание"),
                           ("FLY_IN_FLY_OUT", "Вахта"))
WORK_FORMAT = _entries(("ON_SITE", "На месте работодателя"), ("REMOTE", "Удалённо"), ("HYBRID", "Гибрид"),
                       ("FIELD_WORK", "Разъездной"))
WORKING_HOURS = _entries(*((f"HOURS_{n}", f"{n} час" + ("а" if n < 5 else "ов")) for n in range(2, 13)),
                         ("HOURS_24", "24 часа"), ("FLEXIBLE", "По договорённости"), ("OTHER", "Другое"))
WORK_SCHEDULE = _entries(("SIX_ON_ONE_OFF", "6/1"), ("FIVE_ON_TWO_OFF", "5/2"), ("FOUR_ON_FOUR_OFF", "4/4"),
                         ("FOUR_ON_THREE_OFF", "4/3"), ("FOUR_ON_TWO_OFF", "4/2"), ("THREE_ON_THREE_OFF", "3/3"),
                         ("THREE_ON_TWO_OFF", "3/2"), ("TWO_ON_TWO_OFF", "2/2"), ("TWO_ON_ONE_OFF", "2/1"),
                         ("ONE_ON_THREE_OFF", "1/3"), ("ONE_ON_TWO_OFF", "1/2"), ("SEVEN_ON_ZERO_OFF", "7/0"),
                         ("WEEKEND", "По выходным"), ("FLEXIBLE", "Свободный"), ("OTHER", "Другой"))
SALARY_MODE = _entries(("MONTH", "За месяц"), ("SHIFT", "За смену"), ("HOUR", "За час"),
                       ("FLY_IN_FLY_OUT", "За вахту"), ("SERVICE", "За услугу"))
SALARY_FREQUENCY = _entries(("DAILY", "Ежедневно"), ("WEEKLY", "Раз в неделю"),
                            ("TWICE_PER_MONTH", "Два раза в месяц"), ("MONTHLY", "Раз в месяц"),
                            ("PER_PROJECT", "За проект"))
VACANCY_TYPE = _entries(("open", "Открытая"), ("closed", "Закрытая"), ("anonymous", "Анонимная"),
                        ("direct", "Рекламная"))
VACANCY_LABEL = _entries(("with_address", "С адресом"), ("accept_handicapped", "Для людей с инвалидностью"),
                         ("not_from_agency", "Без агентств"), ("accept_kids", "С 14 лет"),
                         ("accredited_it", "Аккредитованные ИТ-компании"), ("low_performance", "Меньше 10 откликов"),
                         ("internship", "Стажировка"), ("accept_teens", "Для подростков"),
                         ("with_salary", "С указанной зарплатой"))
SEARCH_ORDER = _entries(("publication_time", "по дате"), ("salary_desc", "по убыванию дохода"),
                        ("salary_asc", "по возрастанию дохода"), ("relevance", "по соответствию"),
                        ("distance", "по удалённости"))
SEARCH_FIELDS = _entries(("name", "в названии вакансии"), ("company_name", "в названии компании"),
                         ("description", "в описании вакансии"))
EDUCATION = _entries(("not_required_or_not_specified", "Не требуется или не указано"),
                     ("special_secondary", "Среднее профессиональное"), ("higher", "Высшее"))


def _currency(code, abbr, name, rate):
    return {"code": code, "abbr": abbr, "name": name, "default": code == "RUR", "rate": rate, "in_use": True}


# rate: how much of the currency one rouble buys.
CURRENCY = [_currency("RUR", "₽", "Рубли", 1), _currency("USD", "$", "Доллары", 0.0125),
            _currency("EUR", "€", "Евро", 0.0108), _currency("KZT", "₸", "Тенге", 6.4),
            _currency("BYR", "Br", "Белорусские рубли", 0.037), _currency("UZS", "so'm", "Узбекский сум", 152.0),
            _currency("KGS", "сом", "Кыргызский сом", 1.09), _currency("AZN", "₼", "Манаты", 0.0213),
            _currency("GEL", "₾", "Грузинский лари", 0.0338), _currency("UAH", "₴", "Гривны", 0.52)]
RATES = {entry["code"]: entry["rate"] for entry in CURRENCY}

DICTIONARIES = {
    "experience": EXPERIENCE, "employment": EMPLOYMENT, "schedule": SCHEDULE, "employment_form": EMPLOYMENT_FORM,
    "work_format": WORK_FORMAT, "working_hours": WORKING_HOURS, "work_schedule_by_days": WORK_SCHEDULE,
    "salary_range_mode": SALARY_MODE, "salary_range_frequency": SALARY_FREQUENCY, "vacancy_type": VACANCY_TYPE,
    "vacancy_label": VACANCY_LABEL, "vacancy_search_order": SEARCH_ORDER, "vacancy_search_fields": SEARCH_FIELDS,
    "education": EDUCATION, "currency": CURRENCY,
    "vacancy_relation": _entries(("favorited", "Отобрана"), ("got_response", "Есть отклик"),
                                 ("got_invitation", "Есть приглашение"), ("got_rejection", "Есть отказ"),
                                 ("blacklisted", "Скрыта"), ("got_question", "Есть вопрос")),
    "resume_status": _entries(("not_published", "не опубликовано"), ("published", "опубликовано"),
                              ("blocked", "заблокировано"), ("on_moderation", "на модерации")),
    "resume_access_type": _entries(("no_one", "не видно никому"), ("whitelist", "видно выбранным компаниям"),
                                   ("blacklist", "скрыто от выбранных компаний"), ("clients", "видно компаниям"),
                                   ("direct", "только по прямой ссылке"), ("everyone", "видно всему интернету")),
    "applicant_negotiation_status": _entries(("all", "Все"), ("active", "Активные"), ("invitations", "Приглашения"),
                                             ("response", "Отклики"), ("discard", "Отказы"),
                                             ("archived", "Архивированные"), ("non_archived", "Не архивированные"),
                                             ("deleted", "Скрытые")),
    "education_level": _entries(("secondary", "Среднее"), ("special_secondary", "Среднее специальное"),
                                ("unfinished_higher", "Неоконченное высшее"), ("higher", "Высшее"),
                                ("bachelor", "Бакалавр"), ("master", "Магистр"), ("candidate", "Кандидат наук"),
                                ("doctor", "Доктор наук")),
    "language_level": _entries(("a1", "A1 — Начальный"), ("a2", "A2 — Элементарный"), ("b1", "B1 — Средний"),
                               ("b2", "B2 — Средне-продвинутый"), ("c1", "C1 — Продвинутый"),
                               ("c2", "C2 — В совершенстве"), ("l1", "Родной")),
    "gender": _entries(("male", "Мужской"), ("female", "Женский")),
    "preferred_contact_type": _entries(("home", "Домашний телефон"), ("work", "Рабочий телефон"),
                                       ("cell", "Мобильный телефон"), ("email", "Эл. почта")),
    "business_trip_readiness": _entries(("ready", "готов к командировкам"), ("sometimes", "готов к редким"),
                                        ("never", "не готов")),
    "resume_employment_form": _entries(("FULL", "Постоянная работа"), ("PART_TIME", "Подработка"),
                                       ("INTERNSHIP", "Стажировка"), ("VOLUNTEER", "Волонтёрство")),
    "resume_work_format": [*WORK_FORMAT, *_entries(("FLY_IN_FLY_OUT", "Вахта"))],
    "travel_time": _entries(("any", "Не имеет значения"), ("less_than_hour", "Не более часа"),
                            ("from_hour_to_one_and_half", "Не более полутора часов")),
}


def ids_of(dictionary):
    return frozenset(entry["id"] for entry in dictionary)


# (id, name, [(child id, name, [...])]); cities are leaves and are what vacancies name.
_AREA_TREE = [
    ("113", "Россия", [
        ("1", "Москва", []), ("2", "Санкт-Петербург", []),
        ("2019", "Московская область", [("2034", "Балашиха", []), ("2059", "Химки", [])]),
        ("1261", "Свердловская область", [("3", "Екатеринбург", []), ("1287", "Нижний Тагил", [])]),
        ("1202", "Новосибирская область", [("4", "Новосибирск", [])]),
        ("1679", "Нижегородская область", [("66", "Нижний Новгород", [])]),
        ("1624", "Республика Татарстан", [("88", "Казань", []), ("1642", "Набережные Челны", [])]),
        ("1438", "Краснодарский край", [("53", "Краснодар", []), ("237", "Сочи", [])]),
        ("1586", "Самарская область", [("78", "Самара", []), ("212", "Тольятти", [])]),
        ("1530", "Ростовская область", [("76", "Ростов-на-Дону", [])]),
        ("1347", "Республика Башкортостан", [("99", "Уфа", [])])]),
    ("40", "Казахстан", [("160", "Алматы", []), ("159", "Астана", [])]),
    ("16", "Беларусь", [("1002", "Минск", [])]),
    ("97", "Узбекистан", [("2759", "Ташкент", [])]),
    ("48", "Кыргызстан", [("2760", "Бишкек", [])]),
    ("28", "Грузия", [("2758", "Тбилиси", [])]),
    ("9", "Азербайджан", [("2492", "Баку", [])]),
]


def _area(node, parent_id=None):
    area_id, name, children = node
    return {"id": area_id, "parent_id": parent_id, "name": name,
            "areas": [_area(child, area_id) for child in children]}


def _flatten(areas, into):
    for area in areas:
        into[area["id"]] = area
        _flatten(area["areas"], into)
    return into


AREAS = [_area(node) for node in _AREA_TREE]
AREA_BY_ID = _flatten(AREAS, {})


def with_descendants(area_id):
    """The area and all inside it: a search in Russia finds Moscow. Unknown ids stand for themselves."""
    area = AREA_BY_ID.get(area_id)
    if area is None:
        return {area_id}
    return {area_id}.union(*(with_descendants(child["id"]) for child in area["areas"]))


# Role "104" is in two categories, as HH says happens.
ROLE_CATEGORIES = [
    ("11", "Информационные технологии", [
        ("156", "BI-аналитик, аналитик данных"), ("160", "DevOps-инженер"), ("10", "Аналитик"),
        ("12", "Арт-директор, креативный директор"), ("150", "Бизнес-аналитик"), ("25", "Гейм-дизайнер"),
        ("165", "Дата-сайентист"), ("34", "Дизайнер, художник"), ("36", "Директор по информационным технологиям (CIO)"),
        ("73", "Менеджер продукта"), ("155", "Методолог"), ("96", "Программист, разработчик"),
        ("164", "Продуктовый аналитик"), ("104", "Руководитель группы разработки"),
        ("157", "Руководитель отдела аналитики"), ("107", "Руководитель проектов"),
        ("112", "Сетевой инженер"), ("113", "Системный администратор"), ("148", "Системный аналитик"),
        ("114", "Системный инженер"), ("116", "Специалист по информационной безопасности"),
        ("121", "Специалист технической поддержки"), ("124", "Тестировщик"),
        ("125", "Технический директор (CTO)"), ("126", "Технический писатель")]),
    ("22", "Высший менеджмент", [("104", "Руководитель группы разработки"),
                                 ("36", "Директор по информационным технологиям (CIO)")]),
    ("17", "Продажи, обслуживание клиентов", [("70", "Менеджер по продажам, менеджер по работе с клиентами"),
                                              ("97", "Продавец-консультант, продавец-кассир")]),
    ("21", "Транспорт, логистика", [("21", "Водитель"), ("31", "Курьер")]),
    ("23", "Бухгалтерия", [("18", "Бухгалтер")]),
    ("14", "Медицина", [("64", "Медицинская сестра, медицинский брат")]),
    ("30", "Рестораны", [("94", "Повар, пекарь, кондитер")]),
    ("28", "Другое", [("40", "Другое")]),
]
ROLE_NAMES = {role: name for _, _, roles in ROLE_CATEGORIES for role, name in roles}


def _role(role, name):
    return {"id": role, "name": name, "accept_incomplete_resumes": role in ("31", "97"), "is_default": role == "40"}


PROFESSIONAL_ROLES = {"categories": [{"id": category, "name": name, "roles": [_role(*role) for role in roles]}
                                     for category, name, roles in ROLE_CATEGORIES]}


class Document:
    """A resource that never changes while we run, serialised once, with the validators HH sends along."""

    def __init__(self, content):
        self.body = json.dumps(content, ensure_ascii=False).encode()
        self.etag = f'W/"{hashlib.sha1(self.body).hexdigest()[:16]}"'

    def answer(self, request):
        expires = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + MAX_AGE_S))
        headers = {"ETag": self.etag, "Cache-Control": f"max-age={MAX_AGE_S}", "Expires": expires}
        if request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, headers=headers, content_type="application/json", charset="utf-8")


def _serve(content):
    document = Document(content)

    async def handler(request):
        return document.answer(request)
    return handler


async def _one_area(request):
    area = AREA_BY_ID.get(request.match_info["area_id"])
    if area is None:
        raise not_found()
    return Document(area).answer(request)


def add_routes(app):
    app.router.add_get("/dictionaries", _serve(DICTIONARIES))
    app.router.add_get("/areas", _serve(AREAS))
    app.router.add_get("/areas/{area_id}", _one_area)
    app.router.add_get("/professional_roles", _serve(PROFESSIONAL_ROLES))
