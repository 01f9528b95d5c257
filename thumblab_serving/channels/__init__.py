"""Keep the exports of channels that are to be added, follow their imports, and list the channels that were added."""
