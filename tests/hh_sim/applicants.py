"""What the applicants' side has in common: its settings, who may call it, and which methods belong to it."""
import re
from dataclasses import dataclass

from errors import bad_argument, forbidden
from oauth import require_token

DAY_S = 86_400
MAX_PER_PAGE = 100
_METHOD = re.compile(r"/(resumes|negotiations|resume_conditions)(/|$)"
                     r"|/vacancies/[^/]+/(resumes_by_status|suitable_resumes)$")
_DIGITS = re.compile(r"\d{1,9}")


@dataclass
class Settings:
    """All of it can be changed while the simulator runs; times are in seconds."""
    readable_after_s: float = 1.0       # from a resume's creation until the API shows it
    indexed_after_s: float = 2.0        # from its publication until it can be applied with
    listed_after_s: float = 0.0         # from an application until GET /negotiations shows it
    chat_ready_after_s: float = 1.0     # from an application until it can be written to or hidden
    publish_pause_s: float = 4 * 3600   # from a publication until the next one
    max_resumes: int = 20
    complete_resumes: bool = False      # creation refuses a resume that lacks a mandatory field
    negotiation_limit: int = 200        # applications of a user in any 24 hours
    limit_status: int = 400             # HH is on record with 400, 403 and 429


def settings_from(options):
    return Settings(readable_after_s=options.resume_readable_after, indexed_after_s=options.resume_indexed_after,
                    negotiation_limit=options.negotiation_limit)


def is_applicant_method(path):
    return _METHOD.match(path) is not None


def require_applicant(request):
    """The caller's user id. HH tells an application's token no more than a caller without one."""
    caller = require_token(request)
    if caller.kind != "user":
        raise forbidden()
    return caller.user_id


def whole_number(query, name, default, most=None):
    value = query.get(name) or str(default)
    if not _DIGITS.fullmatch(value) or (most is not None and int(value) > most):
        raise bad_argument(name)
    return int(value)


def page_of(items, page=0, per_page=20):
    """HH's page object; the items are whatever the list holds."""
    pages = -(-len(items) // per_page) if per_page else 0
    return {"items": items[page * per_page:(page + 1) * per_page], "found": len(items), "pages": pages,
            "page": page, "per_page": per_page}
