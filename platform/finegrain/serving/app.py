"""The application of Ray Serve: `serve run`, `serve deploy` and `serve build` name this module.

serve run finegrain.serving.app:build backbone=bundled
serve build finegrain.serving.app:app
"""

from ray import serve

from finegrain.serving.config import ServingConfig
from finegrain.serving.graph import CaptionLookup, EncoderReplica, Ingress, multiplexed


def build(args: ServingConfig) -> serve.Application:
    """The application; `serve run finegrain.serving.app:build name=value` sets its config."""
    captions = serve.deployment(
        name="Captions", ray_actor_options={"num_cpus": 0}, max_ongoing_requests=100
    )(CaptionLookup)
    encoder = serve.deployment(
        name="Encoder",
        ray_actor_options={"num_cpus": args.encoder_cpus, "num_gpus": args.encoder_gpus},
        max_ongoing_requests=args.encoder_max_ongoing,
        max_queued_requests=args.max_in_flight,
        autoscaling_config=_scaling(
            args.encoder_min_replicas,
            args.encoder_max_replicas,
            args.encoder_target_ongoing,
        ),
    )(EncoderReplica)
    scorer = serve.deployment(
        name="Scorer",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=args.scorer_max_ongoing,
        max_queued_requests=args.max_in_flight,
        autoscaling_config=_scaling(
            args.scorer_min_replicas,
            args.scorer_max_replicas,
            args.scorer_max_ongoing,
        ),
    )(multiplexed(args.detectors_per_replica))
    ingress = serve.deployment(
        name="Ingress",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=20 * args.max_in_flight,  # it also answers with 429
    )(serve.ingress()(Ingress))
    encoding = encoder.bind(args)
    application: serve.Application = ingress.bind(
        args, captions.bind(args), encoding, scorer.bind(args, encoding)
    )
    return application


def _scaling(least: int, most: int, target: int) -> dict[str, float]:
    """Quick up, slow down."""
    return {
        "min_replicas": min(least, most),
        "max_replicas": most,
        "target_ongoing_requests": target,
        "upscale_delay_s": 2,
        "downscale_delay_s": 30,
    }


def __getattr__(name: str) -> serve.Application:
    """`app`, the application of the default config, made only where it is asked for."""
    if name == "app":
        return build(ServingConfig())
    raise AttributeError(f"{__name__} has no {name}")
