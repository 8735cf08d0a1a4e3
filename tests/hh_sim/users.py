"""The applicants the simulator knows, and what GET /me says of them."""
from vacancy import API

KNOWN_IDS = ("71000001", "71000002", "71000003", "71000004")
DEFAULT_ID = KNOWN_IDS[0]
_NAMES = (("Вера", "Соколова"), ("Тимур", "Ахметов"), ("Olga", "O'Brien"), ("Ян", "Ли"))
_FLAGS = ("is_applicant", "is_employer", "is_admin", "is_application", "is_employer_integration")


def name_of(user_id):
    """Any id is somebody: tests may make up as many users as they need."""
    return _NAMES[sum(map(ord, user_id)) % len(_NAMES)]


def full_name(user_id):
    return " ".join(name_of(user_id))


def identity(auth_type, flag):
    return {"auth_type": auth_type, **{name: name == flag for name in _FLAGS}}


def applicant(user_id, resumes, unread):
    first_name, last_name = name_of(user_id)
    return {
        **identity("applicant", "is_applicant"), "id": user_id, "is_anonymous": False,
        "email": f"applicant-{user_id}@mail.test", "first_name": first_name, "middle_name": None, "mid_name": None,
        "last_name": last_name, "phone": "7900" + user_id[-7:], "is_in_search": True,
        "resumes_url": f"{API}/resumes/mine?host=hh.ru", "negotiations_url": f"{API}/negotiations?host=hh.ru",
        "employer": None, "manager": None, "personal_manager": None,
        "counters": {"unread_negotiations": unread, "new_resume_views": 0, "resumes_count": resumes},
        "profile_videos": {"items": []},
        "user_statuses": {"job_search_status": {"id": "active_search", "name": "Активно ищу работу"}},
    }
