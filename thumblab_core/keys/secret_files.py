"""Read secret settings from files, so that a secret is neither in the environment nor in a compose file.

Each setting whose value is a secret can be given as a file: `THUMBLAB_API_KEY_FILE` names a file that contains the
value of `THUMBLAB_API_KEY`. Docker and Kubernetes mount secrets as such files.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource

from thumblab_core.errors import LabError

SUFFIX = "_FILE"


def secret_file_variables(settings: type[BaseSettings]) -> dict[str, str]:
    """Return the variables that give the path of a file with a secret, such as `THUMBLAB_API_KEY_FILE`. The result maps
    each variable to the setting that is read from the file.
    """
    prefix = str(settings.model_config.get("env_prefix"))
    return {f"{prefix}{name}{SUFFIX}".upper(): name for name, field in settings.model_fields.items() if _secret(field)}


class SecretFiles(PydanticBaseSettingsSource):
    """Read secret settings from files. The path of each file is in an environment variable, or else in a variable of
    `.env`.
    """

    def __init__(self, settings: type[BaseSettings], in_dotenv: DotEnvSettingsSource) -> None:
        super().__init__(settings)
        # The names in `env_vars`, which come from `.env`, may be in lower case. So all names are compared in upper
        # case.
        self._given = {name.upper(): text for name, text in in_dotenv.env_vars.items()} | dict(os.environ)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing for a single field, because `__call__` reads all fields at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return a dictionary from the field of the settings to the secret.

        A blank file unsets its setting, as a blank variable does. Raises LabError if a setting is given both as a value
        and as a file, or if a file cannot be read.
        """
        return {
            field: _read(variable, path, self._given)
            for variable, field in secret_file_variables(self.settings_cls).items()
            if (path := self._given.get(variable))
        }


def _read(variable: str, path: str, given: Mapping[str, str | None]) -> str:
    plain = variable.removesuffix(SUFFIX)
    if given.get(plain):
        raise LabError(f"{plain} and {variable} are both set; unset one of them")
    try:
        # Editors and `echo` end a file with a line break, which is no part of the secret.
        secret = Path(path).expanduser().read_text("utf-8").strip()
    except OSError as error:
        raise LabError(f"{variable}: {path} cannot be read ({error.strerror}); make the file readable") from None
    except UnicodeDecodeError:
        raise LabError(f"{variable}: {path} is not UTF-8; save it as UTF-8") from None
    return secret


def _secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))
