"""Online scoring on Ray Serve: caption lookup -> encoder replicas -> scorers, behind one ingress.

config.py       all switches of the application
app.py          the application for `serve run`, `serve deploy` and `serve build`
graph.py        its deployments; all that knows Ray: app, fit_task, graph, local, meters, replicas
messages.py     what travels between the deployments
encoder.py      image files -> tokens           precision.py  in float32 or shorter
scorer.py       tokens -> verdicts              champions.py  what is served, as last heard
pictures.py     overlays and layers
service.py      limits, deadline, retries: the graph behind a Protocol, without HTTP and Ray
room.py         how much may be in flight    health.py     whether the server and categories answer
replicas.py     when a replica was lost      uploads.py    bodies on their way
parts.py        enrol, roll back, withdraw      corrections.py  what operators say of verdicts
sensitivity.py  false alarms asked for          drift.py  accepted parts against their calibration
enrolment.py    the states of a part on its way from photos to a champion
fit_part.py     the work behind it              fit_task.py   as a task of Ray
http.py         FastAPI's routes; access.py, schemas.py, protocol_v2.py, examples.py, inspector/
part_routes.py  those that change parts
local.py        the application on this machine's loopback
client.py       for those who ask
"""

from finegrain.serving.config import ServingConfig

__all__ = ["ServingConfig"]
