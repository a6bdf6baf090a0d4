"""Write the JSON Schema of `[tool.farm]` to docs/: `make schema`."""

import json
from pathlib import Path

from farm.model.settings import schema

if __name__ == "__main__":
    path = Path(__file__).parent.parent / "docs" / "farm.schema.json"
    path.write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
