"""What a Neo4j driver of Python does, feature by feature: any version from 4.4 on, driven as ../nodepg.js is.
The features are in the files beside this one, each with a question of its own.

To be run by itself, as a module and with the driver on PYTHONPATH. A line is {"open": the way in, "as": a name for it},
or {"do": a feature, "by": such a name} with what the feature is to be given; each is answered by {"value": what it
gave} or {"error": class, "code": text, "message": text}. features.js does the same in the same words: values are what
JSON has.
"""

import json
import sys
from typing import Any

from tests.scenarios.clients.graph import arriving, results, transactions, values
from tests.scenarios.clients.graph.asked import FEATURES, Client

__all__ = ["arriving", "results", "transactions", "values"]  # which keep their features in FEATURES


def answer(clients: dict[str, Client], asked: dict[str, Any]) -> dict[str, Any]:
    try:
        if "open" in asked:
            if asked["as"] in clients:
                clients[asked["as"]].driver.close()
            clients[asked["as"]] = Client(asked["open"])
            return {"value": None}
        return {"value": FEATURES[asked.pop("do")](clients[asked.pop("by")], **asked)}
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        return {"error": type(error).__name__, "code": getattr(error, "code", None), "message": str(error)}


def main() -> None:
    clients: dict[str, Client] = {}
    for line in sys.stdin:
        print(json.dumps(answer(clients, json.loads(line))), flush=True)  # noqa: T201
    for client in clients.values():
        client.driver.close()


if __name__ == "__main__":
    main()
