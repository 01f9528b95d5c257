"""Keep the YouTube Studio exports of channels that are to be added, follow their imports, and list the added channels."""
