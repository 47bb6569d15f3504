"""Online scoring on Ray Serve: caption lookup -> encoder replicas -> fusion, behind one ingress.

config.py       all switches of the application
messages.py     what travels between the deployments
encoder.py      image files -> tokens           fusion.py    tokens -> verdicts, champions
catalog.py      what is served, its captions    pictures.py  overlays and layers
service.py      admission, deadline, retries: the graph behind a Protocol, without HTTP and Ray
http.py         FastAPI's routes; access.py, schemas.py, protocol_v2.py, examples.py, inspector/
graph.py        the deployments, the only file that imports Ray Serve
client.py       for those who ask               load.py      open-loop load and what came of it
"""

from finegrain.serving.config import ServingConfig

__all__ = ["ServingConfig"]
