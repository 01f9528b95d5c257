"""Define the settings for heavy work on a Ray cluster. docs/ray.md explains these settings."""

from pydantic import field_validator
from pydantic_settings import BaseSettings

from thumblab_core.hosts import split_authority
from thumblab_core.setting_groups import setting

LOCAL, AUTO = "local", "auto"


class RaySettings(BaseSettings):
    """Ray cluster."""

    ray_address: str = setting(
        "",
        "The Ray cluster that embeds, measures and trains: `HOST:PORT` of its head node, `auto` for the cluster that "
        "this machine belongs to, or `local` for a cluster inside the process. Blank: the lab uses no cluster. See "
        "[Ray](ray.md).",
    )
    ray_worker_cpus: int = setting(1, "The number of cores that one worker process of the cluster uses.", "cores", ge=1)
    ray_worker_gpus: float = setting(
        0.0,
        "The number of GPUs that one worker process of the cluster uses. With 0.5, two workers share one GPU.",
        "GPUs",
        ge=0,
    )
    ray_training_workers: int = setting(
        1,
        "The number of worker processes that train one model. With 1, the weights are the same as without a cluster.",
        "processes",
        ge=1,
    )

    @field_validator("ray_address")
    @classmethod
    def _is_a_ray_address(cls, value: str) -> str:
        value = value.strip()
        if value in ("", LOCAL, AUTO):
            return value
        try:
            host, port = split_authority(value)
        except ValueError:
            port = None
        if not port:
            raise ValueError(
                f"{value!r} is no address of a Ray cluster; use HOST:PORT, `auto`, `local` or a blank value"
            )
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
