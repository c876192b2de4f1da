"""The options of `voxgate bench` where none is said."""

from gateway.bench.orders import Said

PLAIN = Said(
    files=[],
    server="voxgate",
    api_key=None,
    headers=[],
    fields=[],
    say_language=False,
    cut=None,
    as_wav=False,
    clients=None,
    rate=None,
    arrivals="poisson",
    seconds=None,
    requests=None,
    warm_up_s=5.0,
    timeout_s=300.0,
    seed=0,
    deadline_s=None,
)
