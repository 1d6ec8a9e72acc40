"""What runs in a student's own process: ``python -m minivae.exercises.submission FILE OUTCOMES SECONDS``."""

import json
import sys

from minivae.core.errors import FileError
from minivae.exercises import EXERCISES
from minivae.exercises.student_file import outcomes_of


def main() -> None:
    """Check a file, and write a line for each outcome as soon as it is known, so that a crash loses no earlier one."""
    name, path, seconds = sys.argv[1:]
    sys.argv[1:] = []
    sys.path.append("")  # modules beside the file, after all others
    with open(path, "w", encoding="utf-8") as said:

        def say(**line: str | None) -> None:
            said.write(json.dumps(line) + "\n")
            said.flush()

        try:
            for outcome in outcomes_of(name, EXERCISES, float(seconds)):
                say(id=outcome.id, state=outcome.state, message=outcome.message, mistake=outcome.mistake)
            say(finished="")
        except FileError as error:
            say(finished=str(error))


if __name__ == "__main__":
    main()
