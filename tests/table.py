#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""README.md's table of the Python client's Session against the header and the examples.

table.py WORK EXAMPLE...: EXAMPLE are the names of those that have run and ended well. Prints what
is wrong, a line each; the exit code is 1 if there is anything.
"""

import os
import re
import subprocess
import sys

# Every property, method and parameter of the reference page.
PAGE = {
    "sandbox_count": "",
    "log_metrics": "step reset",
    "get_metrics": "",
    "close": "",
    "sandbox": "command args container_image tags profile_ids profile_names runner_ids resources "
               "mounted_files s3_mount ports network max_timeout_seconds environment_variables "
               "annotations secrets",
    "list": "tags status profile_ids profile_names runner_ids include_stopped adopt",
    "from_id": "sandbox_id adopt",
    "adopt": "",
    "function": "container_image serialization temp_dir profile_ids profile_names runner_ids "
                "resources mounted_files s3_mount ports network max_timeout_seconds "
                "environment_variables annotations",
}


def rows():
    with open("README.md", encoding="utf-8") as file:
        text = file.read()
    table = text[text.index("| Python | C |"):].split("\n\n")[0].split("\n")[2:]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table]


def compiles(names, work):
    """Those of the names that the header does not have."""
    missing = []
    for name in sorted(names):
        if "." in name:
            line = "(void)sizeof(((struct %s *)0)->%s);" % tuple(name.split(".", 1))
        elif name.startswith("CWS_"):
            line = "(void)(%s);" % name
        else:
            line = "(void)sizeof(%s *);" % name if name == "cws_op" else "(void)&%s;" % name
        path = os.path.join(work, "name.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write('#include "cwsandbox.h"\nint main(void) { %s return 0; }\n' % line)
        if subprocess.run([os.environ.get("CC", "cc"), "-I.", "-fsyntax-only", path],
                          stderr=subprocess.DEVNULL, check=False).returncode:
            missing.append(name)
    return missing


def main():
    work, ran = sys.argv[1], set(sys.argv[2:])
    problems, said, names = [], set(), set()
    for row in rows():
        if len(row) != 4:
            problems.append("not four cells: %s" % row)
            continue
        python, spelled, dialects, example = row
        said.update(re.findall(r"`([^`]+)`", python))
        here = re.findall(r"`((?:cws|CWS)_[\w.]+)`", spelled)
        names.update(here)
        if dialects not in ("both", "v1", "v1beta2"):
            problems.append("%s: dialects '%s'" % (python, dialects))
        shown = re.findall(r"`examples/(\w+)\.c`", example)
        if len(shown) != 1 or shown[0] not in ran:
            problems.append("%s: the example %s has not run well" % (python, example))
            continue
        with open("examples/%s.c" % shown[0], encoding="utf-8") as file:
            text = file.read()
        words = [name.split(".")[-1] for name in here]
        if words and not any(re.search(r"\b%s\b" % word, text) for word in words):
            problems.append("%s: %s shows none of %s" % (python, example, ", ".join(words)))
    for method, parameters in PAGE.items():
        wanted = [method] + ["%s: %s" % (method, p) for p in parameters.split()]
        problems += ["%s is not in the table" % name for name in wanted if name not in said]
    problems += ["%s is not in the header" % name for name in compiles(names, work)]
    for problem in problems:
        print(problem)
    return 1 if problems or not names else 0


if __name__ == "__main__":
    sys.exit(main())
