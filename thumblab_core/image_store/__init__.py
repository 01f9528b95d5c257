"""Store pictures under the SHA-256 of their bytes, in a folder or in an object store.

`ImageStore` is what the rest of the lab uses. `image_store` opens the store that the settings name.
"""

from thumblab_core.image_store.folder import ImageFolder
from thumblab_core.image_store.place import image_store
from thumblab_core.image_store.store import ImageStore, StoredImage

__all__ = ["ImageFolder", "ImageStore", "StoredImage", "image_store"]
