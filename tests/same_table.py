"""same_table.py PROGRAM PROGRAM... - builds of gristmill, each made for another machine or with other instructions: from the same input all
of them must make tables of the same files and bytes. A PROGRAM is a command, with words before it if it needs them. Prints what
differs; the status counts."""
import pathlib
import shlex
import subprocess
import sys
import tempfile

import harness


def make(words, source, table):
    command = [*words, "run", harness.MAIN_JOB, "--source", source, "--table", table, "--threads", "2", "--quiet"]
    subprocess.run([str(word) for word in command], check=True)
    return {**harness.fingerprint(table), **{str(path.relative_to(table)): path.read_bytes() for path in table.glob("_gristmill/*/quarantine/*/*")}}


def main():
    programs = [shlex.split(program) for program in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
        folder = pathlib.Path(folder)
        subprocess.run([str(word) for word in [*programs[0], "generate", folder / "in", "--records", "20000", "--seed", "11", "--bad", "0.005"]],
                       check=True, stdout=subprocess.DEVNULL)
        tables = [make(words, folder / "in", folder / str(number)) for number, words in enumerate(programs)]
    differ = sorted({name for table in tables[1:] for name in {**table, **tables[0]} if table.get(name) != tables[0].get(name)})
    for name in differ:
        print(f"same_table: {name} is not the same in all tables, or is missing from one")
    if not tables[0] or differ:
        sys.exit(1)
    print(f"same_table: {len(tables)} tables of {len(tables[0])} files, all the same")


if __name__ == "__main__":
    main()
