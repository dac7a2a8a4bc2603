"""pip install ./bench/python: CMake builds libfreshet.so of this tree, the wheel carries it. Packages needed: scripts/deps.sh build."""
import os
import shutil
import subprocess

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Build(build_py):
    def run(self):
        super().run()
        ready = os.environ.get("FRESHET_LIBRARY")  # a libfreshet.so that is built already
        if not ready:
            folder = os.path.join(ROOT, "build", "python")
            subprocess.check_call(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFR_TESTS=OFF"])
            subprocess.check_call(["cmake", "--build", folder, "--target", "freshet_shared"])
            ready = os.path.join(folder, "libfreshet.so")
        target = os.path.join(self.build_lib, "freshet")
        os.makedirs(target, exist_ok=True)
        shutil.copyfile(os.path.realpath(ready), os.path.join(target, "libfreshet.so"))


class Wheel(bdist_wheel):
    """One machine's library, any Python 3: it is loaded by ctypes."""

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


class Platform(Distribution):
    def has_ext_modules(self):
        return True


setup(distclass=Platform, cmdclass={"build_py": Build, "bdist_wheel": Wheel})
