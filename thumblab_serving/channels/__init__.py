"""Keep the YouTube Studio exports of channels that are to be added, report the state of their imports, and list the
added channels."""
