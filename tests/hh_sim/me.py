"""GET /me: who the token belongs to."""
from errors import json_response
from oauth import require_token
from users import applicant, identity


async def me(request):
    caller = require_token(request)
    if caller.kind == "app":
        return json_response(identity("application", "is_application"))
    sim = request.app["sim"]
    return json_response(applicant(caller.user_id, len(sim.resumes.all(caller.user_id)),
                                   sim.negotiations.unread(caller.user_id)))


def add_routes(app):
    app.router.add_get("/me", me)
