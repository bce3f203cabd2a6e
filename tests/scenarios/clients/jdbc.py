"""The PostgreSQL JDBC driver in a JVM of its own, driven as nodepg.js is. To be run: jdbc.py JAR LIBJVM."""

import json
import sys
import threading
from typing import Any

import jpype


def say(**answer: str) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201


def tell(error: Any) -> None:
    say(sqlstate=str(error.getSQLState() or ""), message=str(error.getMessage()))


class Driver:
    """A connection and the statement that runs on it."""

    def __init__(self, way: dict[str, Any]) -> None:
        properties = jpype.JClass("java.util.Properties")()
        facts = {"user": way["user"], "password": way["password"], "sslmode": "verify-full", "sslrootcert": way["ca"]}
        for name, value in {**facts, **way.get("properties", {})}.items():
            properties.setProperty(name, value)
        url = f"jdbc:postgresql://{way['host']}:{way['port']}/{way['database']}"
        self.connection = jpype.JClass("org.postgresql.Driver")().connect(url, properties)
        self.statement = self.connection.createStatement()

    def ask(self, sql: str) -> None:
        try:
            rows = self.statement.executeQuery(sql)
            rows.next()
            say(value=str(rows.getString(1)))
        except jpype.JException as error:
            tell(error)


def main(jar: str, machine: str) -> None:
    jpype.startJVM(machine, "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", classpath=[jar])
    try:
        driver = Driver(json.loads(sys.stdin.readline())["login"])
    except jpype.JException as error:
        tell(error)
        return
    say(value="")
    for line in sys.stdin:
        told = json.loads(line)
        if "cancel" in told:
            driver.statement.cancel()
        else:
            threading.Thread(target=driver.ask, args=(told["ask"],), daemon=True).start()
    driver.connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
