"""scripts/tidy.py finds what it promises to find: each case is a small tree with one fault, or none."""
import os
import subprocess
import sys
import tempfile
import unittest

TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../scripts/tidy.py")
HEAD = "/* role. */\n"


def tidy(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        run = subprocess.run([sys.executable, TIDY, "--root", root], capture_output=True, text=True)
        return run.returncode, run.stdout


class Tidy(unittest.TestCase):
    def finds(self, rule, files):
        code, out = tidy(files)
        self.assertEqual(code, 1, out)
        self.assertIn(f": {rule}: ", out)

    def passes(self, files):
        code, out = tidy(files)
        self.assertEqual(code, 0, out)

    def test_every_room_may_include_its_own_and_below(self):
        self.passes({"index/a.c": HEAD + '#include "simd/simd.h"\n#include "api/base.h"\n#include "index/a.h"\n',
                     "server/engine/b.c": HEAD + '#include "log/log.h"\n#include "index/index.h"\n',
                     "server/daemon/c.c": HEAD + '#include "api/http/http.h"\n#include <h2o.h>\n'})

    def test_wrong_directions(self):
        for path, include in [("simd/a.c", '"log/log.h"'), ("log/a.c", '"index/table.h"'), ("index/a.c", '"log/log.h"'),
                              ("api/a.c", '"log/io.h"'), ("api/http/a.c", '"server/engine/engine.h"'),
                              ("api/http/a.c", '"api/kafka/frame.h"'), ("server/daemon/a.c", '"index/table.h"'),
                              ("server/engine/a.c", '"api/http/http.h"'), ("server/engine/a.c", '"log/segment_private.h"'),
                              ("tests/embed/a.c", '"api/base.h"'), ("log/a.c", '"log.h"'), ("api/http/a.c", "<h2o.h>"),
                              ("index/a.c", "<sys/socket.h>"), ("index/a.c", "<time.h>"), ("simd/a.c", "<pthread.h>")]:
            with self.subTest(path=path, include=include):
                self.finds("include", {path: HEAD + f"#include {include}\n"})

    def test_banned_calls(self):
        for call in ["sprintf(b, x)", "strcpy(a, b)", "strcat(a, b)", "atoi(a)", "rand()", "malloc(3)", "free(p)", "strdup(p)"]:
            with self.subTest(call=call):
                self.finds("banned", {"log/a.c": HEAD + f"void f(void)\n{{\n    {call};\n}}\n"})

    def test_clocks_below_the_seam(self):
        body = HEAD + "void f(void)\n{\n    clock_gettime(CLOCK_MONOTONIC, &now);\n}\n"
        self.finds("banned", {"index/a.c": body})
        self.finds("banned", {"server/engine/a.c": body})
        self.passes({"log/io_posix.c": body, "server/daemon/a.c": body})

    def test_words_in_comments_strings_and_longer_names_pass(self):
        self.passes({"log/a.c": HEAD + '/* malloc(3) */ // free(p)\nconst char *s = "rand()";\nvoid f(void) { fr_free(p); x->free(p); }\n',
                     "api/base.c": HEAD + "void *g(void) { return malloc(1); }\n"})

    def test_unique_names(self):
        self.finds("unique", {"log/same.c": HEAD, "index/same.c": HEAD})
        self.passes({"log/README.md": "a\n", "index/README.md": "b\n"})

    def test_small_rules(self):
        self.finds("head", {"log/a.c": "int x;\n"})
        self.finds("later", {"log/a.c": HEAD + "/* TO" + "DO later */\n"})
        self.finds("machine", {"scripts/a.sh": "cd /wo" + "rk/main\n"})
        self.finds("length", {"log/a.c": HEAD + "int " + "x" * 200 + ";\n"})
        self.finds("tab", {"log/a.c": HEAD + "\tint x;\n"})
        self.finds("name", {"log/a.h": HEAD + "typedef struct thing thing_t;\n"})


if __name__ == "__main__":
    unittest.main()
