"""Applications of the simulated HH: who applied to what with which resume, what became of it, and its JSON."""
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

import applicants
from vacancy import API, SITE, timestamp

FIRST_NUMBER = 4_500_000_001
ATTEMPTS_KEPT = 20_000
STATES = {"response": "Отклик", "invitation": "Приглашение", "discard": "Отказ", "hidden": "Скрыт",
          "interview": "Собеседование", "hired": "Выход на работу"}
_INVITED = ("invitation", "interview", "hired")
_RELATIONS = {"discard": "got_rejection", **dict.fromkeys(_INVITED, "got_invitation")}
# What the vacancy of an application shows: less than an item of the search.
_VACANCY_KEYS = ("id", "premium", "name", "department", "has_test", "response_letter_required", "area", "salary",
                 "salary_range", "type", "address", "response_url", "published_at", "created_at", "archived",
                 "apply_alternate_url", "show_logo_in_search", "show_contacts", "insider_interview", "url",
                 "alternate_url", "employer", "professional_roles")


@dataclass
class Application:
    id: str
    user_id: str
    vacancy: object
    resume_id: str
    resume_title: str
    letter: str                     # None: none was sent
    at: float                       # epoch seconds
    updated_at: float
    state: str = "response"
    has_updates: bool = False
    hidden: bool = False
    gone: bool = False              # its resume was deleted
    messages: list = field(default_factory=list)

    @property
    def invited(self):
        return self.state in _INVITED

    @property
    def messaging_status(self):
        if self.vacancy.archived:
            return "archived"
        return "ok" if self.invited else "prohibited" if self.state == "discard" else "no_invitation"

    def add_message(self, text, author, at):
        message = {"id": f"{self.id}{len(self.messages) + 1:03}", "text": text, "created_at": timestamp(at),
                   "author": {"participant_type": author}, "state": {"id": "text", "name": "Сообщение"},
                   "viewed_by_me": author == "applicant", "viewed_by_opponent": False, "editable": False}
        self.messages.append(message)
        return message

    def describe(self):
        """For the tests."""
        return {"id": self.id, "user_id": self.user_id, "vacancy_id": self.vacancy.id, "resume_id": self.resume_id,
                "message": self.letter, "at": self.at, "state": self.state, "hidden": self.hidden, "gone": self.gone}


class Negotiations:
    def __init__(self, settings, now):
        self.settings = settings
        self._now = now
        self.applications = []      # in the order they were made; nothing is ever removed
        self.attempts = deque(maxlen=ATTEMPTS_KEPT)
        self.outcomes = Counter()
        self.refusals = {}          # vacancy id -> arguments of errors.refusal(), for who applies to it
        self._by_id = {}
        self._pairs = {}            # (resume id, vacancy id) -> the application
        self._of_user = defaultdict(list)
        self._to_vacancy = defaultdict(list)    # (user id, vacancy id) -> applications

    def apply(self, user_id, vacancy, resume, letter):
        now = self._now()
        application = Application(str(FIRST_NUMBER + len(self.applications)), user_id, vacancy, resume.id, resume.title,
                                  letter, now, now)
        application.add_message(letter or "", "applicant", now)
        self.applications.append(application)
        self._by_id[application.id] = application
        self._pairs[resume.id, vacancy.id] = application
        self._of_user[user_id].append(application)
        self._to_vacancy[user_id, vacancy.id].append(application)
        return application

    def note_attempt(self, **what):
        self.attempts.append({"at": self._now(), **what})
        self.outcomes[what["outcome"]] += 1

    def has_applied(self, resume_id, vacancy_id):
        return (resume_id, vacancy_id) in self._pairs

    def limit_reached(self, user_id):
        """Counted back from this moment; hiding an application, or deleting its resume, gives nothing back."""
        made, since, recent = self._of_user[user_id], self._now() - applicants.DAY_S, 0
        for application in reversed(made):
            if application.at <= since:
                break
            recent += 1
        return recent >= self.settings.negotiation_limit

    def listed(self, user_id):
        """The user's applications that the API shows, the latest update first."""
        newest = self._now() - self.settings.listed_after_s
        shown = [application for application in self._of_user.get(user_id, ())
                 if not application.gone and application.at <= newest]
        return sorted(shown, key=lambda application: (application.updated_at, application.id), reverse=True)

    def get(self, user_id, application_id):
        application = self._by_id.get(application_id)
        if application is None or application.gone or application.user_id != user_id:
            return None
        return application

    def find(self, application_id):
        """Anybody's."""
        return self._by_id.get(application_id)

    def chat_is_ready(self, application):
        return application.at + self.settings.chat_ready_after_s <= self._now()

    def set_state(self, application, state):
        """What the employer does."""
        application.state, application.has_updates, application.updated_at = state, True, self._now()

    def write(self, application, text):
        application.updated_at = self._now()
        return application.add_message(text, "applicant", application.updated_at)

    def hide(self, application):
        application.hidden, application.updated_at = True, self._now()

    def forget_resume(self, resume_id):
        for application in self.applications:
            if application.resume_id == resume_id:
                application.gone = True

    def unread(self, user_id):
        return sum(application.has_updates for application in self.listed(user_id))

    def relations(self, user_id, vacancy_id):
        """What the search says of the user and the vacancy."""
        made = [application for application in self._to_vacancy.get((user_id, vacancy_id), ()) if not application.gone]
        states = {_RELATIONS[application.state] for application in made if application.state in _RELATIONS}
        return ["got_response", *sorted(states)] if made else []


def has_status(application, status):
    """Whether the list's filter `status` lets it through."""
    archived = application.vacancy.archived
    return {"all": True, "active": not (archived or application.hidden or application.state == "discard"),
            "invitations": application.invited, "response": application.state == "response",
            "discard": application.state == "discard", "archived": archived, "non_archived": not archived,
            "deleted": application.hidden}[status]


def application_json(application):
    address, resume_id = f"{API}/negotiations/{application.id}", application.resume_id
    vacancy = application.vacancy.shared()
    return {
        "id": application.id, "state": {"id": application.state, "name": STATES[application.state]},
        "created_at": timestamp(application.at), "updated_at": timestamp(application.updated_at),
        "resume": {"id": resume_id, "title": application.resume_title, "url": f"{API}/resumes/{resume_id}?host=hh.ru",
                   "alternate_url": f"{SITE}/resume/{resume_id}"},
        "vacancy": {**{key: vacancy[key] for key in _VACANCY_KEYS if key in vacancy}, "sort_point_distance": None},
        "viewed_by_opponent": application.state != "response", "has_updates": application.has_updates,
        "hidden": application.hidden, "messages_url": f"{address}/messages?host=hh.ru", "url": f"{address}?host=hh.ru",
        "counters": {"messages": len(application.messages), "unread_messages": int(application.has_updates)},
        "source": "NEGOTIATION", "messaging_status": application.messaging_status,
        "decline_allowed": application.invited, "applicant_question_state": False, "phone_calls": None,
        "job_search_status": None, "tags": [],
    }
