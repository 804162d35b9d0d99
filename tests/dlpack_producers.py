"""Stand-ins for other array libraries: objects that show NumPy memory as DLPack has it, or wrongly.

Every export lives in a table until its deleter is called, so that a test can see whether that
happens exactly once.
"""

import ctypes

CPU = (1, 0)
READ_ONLY = 1  # a flag
VERSIONED, UNVERSIONED = b"dltensor_versioned", b"dltensor"

_CODES = {"i": 0, "u": 1, "f": 2, "V": 4, "c": 5, "b": 6}  # ml_dtypes' bfloat16 is of kind V

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
_api.PyCapsule_IsValid.argtypes = ctypes.c_void_p, ctypes.c_char_p
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = ctypes.c_void_p, ctypes.c_char_p


class Version(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32)]


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("dtype", DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Managed(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("manager", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class ManagedVersioned(ctypes.Structure):
    _fields_ = [
        ("version", Version),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]


class Header(ctypes.Structure):
    _fields_ = [("version", Version), ("previous", ctypes.c_void_p)]


class ExchangeApi(ctypes.Structure):
    _fields_ = [
        ("header", Header),
        ("allocate", ctypes.c_void_p),
        ("export_managed", ctypes.c_void_p),
        ("import_managed", ctypes.c_void_p),
        ("describe", ctypes.c_void_p),
        ("current_work_stream", ctypes.c_void_p),
    ]


class Exports:
    """The exports that live, and the addresses that were freed wrongly."""

    def __init__(self):
        self.living = {}  # by address: the struct, what it points to, and who made it
        self.mistakes = []

    def add(self, managed, *keep):
        self.living[ctypes.addressof(managed)] = managed, keep

    def free(self, address):
        if self.living.pop(address, None) is None:
            self.mistakes.append(address)


EXPORTS = Exports()
_DELETER = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(EXPORTS.free)
_FORGOTTEN = []  # exports without a deleter stay


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _free_capsule(capsule):
    for name in (VERSIONED, UNVERSIONED):
        if _api.PyCapsule_IsValid(capsule, name):
            EXPORTS.free(_api.PyCapsule_GetPointer(capsule, name))


def _address_of(function):
    return ctypes.cast(function, ctypes.c_void_p).value


def _int64s(values):
    return (ctypes.c_int64 * max(len(values), 1))(*values)


def described(array, **changes):
    """Return an array's description, with fields changed, and what must live as long."""
    itemsize = array.itemsize
    assert all(stride % itemsize == 0 for stride in array.strides)
    fields = {
        "data": array.ctypes.data,
        "device": CPU,
        "ndim": array.ndim,
        "dtype": (_CODES[array.dtype.kind], 8 * itemsize, 1),
        "shape": array.shape,
        "strides": [stride // itemsize for stride in array.strides],
        "byte_offset": 0,
    } | changes
    shape = _int64s(fields["shape"])
    strides = None if fields["strides"] is None else _int64s(fields["strides"])
    tensor = Tensor(
        fields["data"],
        Device(*fields["device"]),
        fields["ndim"],
        DataType(*fields["dtype"]),
        shape,
        strides,
        fields["byte_offset"],
    )
    return tensor, (array, shape, strides)


def managed(array, *, version=(1, 1), flags=0, deleter=True, **changes):
    """Return an export's address: versioned, or with version=None as before DLPack 1.0."""
    tensor, keep = described(array, **changes)
    free = _address_of(_DELETER) if deleter else None
    if version is None:
        result = Managed(tensor, None, free)
    else:
        result = ManagedVersioned(Version(*version), None, free, flags, tensor)
    if deleter:
        EXPORTS.add(result, *keep)
    else:
        _FORGOTTEN.append((result, keep))
    return ctypes.addressof(result)


class Producer:
    """An array as another library shows it by __dlpack__, in any way that may be asked for."""

    def __init__(self, array, *, name=None, says=CPU, **options):
        self.array, self.says, self.options = array, says, options
        self.name = name or (VERSIONED if options.get("version", True) else UNVERSIONED)
        self.calls = []  # the keyword arguments of each

    def __dlpack_device__(self):
        return self.says

    def __dlpack__(self, **arguments):
        self.calls.append(arguments)
        return self.capsule()

    def capsule(self):
        address = managed(self.array, **self.options)
        return _api.PyCapsule_New(address, self.name, _address_of(_free_capsule))


class OldProducer(Producer):
    """One from before DLPack 1.0, without the argument max_version."""

    def __init__(self, array, **options):
        super().__init__(array, version=None, **options)

    def __dlpack__(self, stream=None):
        self.calls.append({})
        return self.capsule()


class ProducerWithoutDevice(Producer):
    """One that has no __dlpack_device__."""

    @property
    def __dlpack_device__(self):
        raise AttributeError


# Functions of C's type int (*)(object, address), for tables. Python code that fails can't leave its
# error set, so failing functions go through one of Python's own that has that type: it calls
# object.__delitem__(address).
FUNCTION = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)
CALL_DELITEM = _address_of(_api.PySequence_DelItem)


@FUNCTION
def describe(producer, address):
    producer.calls.append("describe")
    tensor, keep = described(producer.array, **producer.changes())
    producer.keep = keep
    ctypes.memmove(address, ctypes.addressof(tensor), ctypes.sizeof(tensor))
    return 0


@FUNCTION
def export_managed(producer, address):
    producer.calls.append("export_managed")
    ctypes.c_void_p.from_address(address).value = managed(producer.array, **producer.options)
    return 0


_TABLES = []  # static, as they have to be


def table(version=(1, 2), previous=None, describe=describe, export_managed=export_managed):
    """Return the address of a table of functions; each is a callback, an address or None."""
    addresses = [
        function if function is None or isinstance(function, int) else _address_of(function)
        for function in (export_managed, describe)
    ]
    result = ExchangeApi(
        Header(Version(*version), previous), None, addresses[0], None, addresses[1], None
    )
    _TABLES.append((result, export_managed, describe))
    return ctypes.addressof(result)


def api_capsule(address, name=b"dlpack_exchange_api"):
    keep = ctypes.c_char_p(name)  # a capsule has a pointer to it only
    _TABLES.append(keep)
    return _api.PyCapsule_New(address, keep, None)


def exchanging(api, *bases):
    """Return a type of producers with this C exchange API: a table's address, or any object."""

    class Exchanging(*bases):
        __dlpack_c_exchange_api__ = api_capsule(api) if isinstance(api, int) else api

        def __init__(self, array, **options):
            self.array, self.options, self.calls = array, options, []
            if bases:
                super().__init__(array, **options)

        def changes(self):
            managed_only = ("version", "flags", "deleter")
            return {k: v for k, v in self.options.items() if k not in managed_only}

    return Exchanging


Exchanging = exchanging(table())
ExchangingWithoutDescription = exchanging(table(describe=None))

# Each as a function of an array.
READABLE = {
    "versioned": Producer,
    "versioned, read-only": lambda array: Producer(array, flags=READ_ONLY),
    "version 1.9": lambda array: Producer(array, version=(1, 9)),
    "other flags": lambda array: Producer(array, flags=4 | 1 << 40),
    "unversioned": lambda array: Producer(array, version=None),
    "before 1.0": OldProducer,
    "no device method": ProducerWithoutDevice,
    "byte offset": lambda array: Producer(array, data=array.ctypes.data - 24, byte_offset=24),
    "exchange API": Exchanging,
    "exchange API, read-only": lambda array: Exchanging(array, flags=READ_ONLY),
    "exchange API, no description": ExchangingWithoutDescription,
    "exchange API, no deleter": lambda array: ExchangingWithoutDescription(array, deleter=False),
}
READ_ONLY_KINDS = {name: make for name, make in READABLE.items() if "read-only" in name}
UNVERSIONED_KINDS = {name: READABLE[name] for name in ("unversioned", "before 1.0")}
WRITEABLE = {
    name: make for name, make in READABLE.items() if name not in READ_ONLY_KINDS | UNVERSIONED_KINDS
}
