"""libfreshet.so by ctypes: part 2 of api/freshet.h, and its codes as Python's exceptions. ctypes lets other threads run in every call."""
import ctypes
import os
from ctypes import POINTER, c_bool, c_char, c_char_p, c_float, c_int, c_int64, c_uint32, c_uint64, c_void_p

DIMENSION_MAX, DIMENSION_BITS_MAX, K_MAX, EF_MAX = 32768, 262144, 16384, 32768  # FR_*_MAX of freshet.h
METRICS = ("l2", "ip", "cosine", "hamming", "jaccard")
BINARY_METRICS, BINARY = ("hamming", "jaccard"), 100  # of packed bits; fr_type
PROFILES = ("balanced", "speed", "compact")
DTYPES = {"float32": 101, "float16": 102, "int8": 105}  # fr_type
VECTORS = ("auto", "memory", "disk")


class Options(ctypes.Structure):  # fr_index_options
    _fields_ = [("dimension", c_uint32), ("metric", c_int), ("codes", c_int), ("m", c_uint32), ("ef_construction", c_uint32),
                ("profile", c_int), ("vectors", c_int), ("folder", c_char_p), ("type", c_int)]


class Error(ctypes.Structure):  # fr_err
    _fields_ = [("code", c_int), ("field", c_char * 64), ("text", c_char * 252)]


def _load():
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libfreshet.so")
    path = os.environ.get("FRESHET_LIBRARY") or here
    try:
        lib = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"freshet cannot load {path}: {error}; build it by pip install ./bench/python, or set FRESHET_LIBRARY") from None
    signatures = {
        "fr_index_create": (c_int, POINTER(Options), POINTER(c_void_p), POINTER(Error)),
        "fr_index_free": (None, c_void_p),
        "fr_index_add": (c_int, c_void_p, c_void_p, c_void_p, c_uint64, c_uint32, POINTER(Error)),
        "fr_index_waiting": (c_uint64, c_void_p),
        "fr_index_link": (None, c_void_p, c_uint32),
        "fr_index_remove": (c_int, c_void_p, c_void_p, c_uint64, POINTER(c_uint64)),
        "fr_index_search_many": (c_int, c_void_p, c_void_p, c_uint64, c_uint32, c_uint32, c_uint32, c_void_p, c_void_p, POINTER(Error)),
        "fr_index_get": (c_int, c_void_p, c_void_p, c_uint64, c_void_p, POINTER(c_bool)),
        "fr_index_settings": (None, c_void_p, POINTER(Options)),
        "fr_index_size": (c_uint64, c_void_p),
        "fr_index_memory": (c_uint64, c_void_p),
        "fr_index_save_file": (c_int, c_void_p, c_char_p, POINTER(Error)),
        "fr_index_open_file": (c_int, c_char_p, POINTER(c_void_p), POINTER(Error)),
        "fr_strcode": (c_char_p, c_int),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


lib = _load()

INVALID, NOT_FOUND, TOO_LARGE, DISK_FULL, CORRUPT, IO, NO_MEMORY, VERSION = 1, 2, 4, 7, 9, 10, 11, 14
_EXCEPTIONS = {INVALID: ValueError, TOO_LARGE: ValueError, CORRUPT: ValueError, VERSION: ValueError, NOT_FOUND: FileNotFoundError,
               DISK_FULL: OSError, IO: OSError, NO_MEMORY: MemoryError}


def check(code, error=None):
    if code == 0:
        return
    text = error.text.decode() if error is not None and error.text else lib.fr_strcode(code).decode()
    field = error.field.decode() if error is not None else ""
    raise _EXCEPTIONS.get(code, RuntimeError)(f"{field}: {text}" if field and not text.startswith(field) else text)
