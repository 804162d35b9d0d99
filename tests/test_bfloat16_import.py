"""bfloat16 is that of ml_dtypes, whenever and whether that is imported, and of nobody else."""

import pytest
from subprocesses import output_of

PREPARE = """
import sys, types
import numpy as np
import gradclip

def answer(array):
    '''Return the norm, or the name of the error.'''
    try:
        return gradclip.global_norm([np.ones(9), array])
    except Exception as error:
        return type(error).__name__
"""

WITH_ML_DTYPES = """
import ml_dtypes
twos = np.full(4, 2.0, ml_dtypes.bfloat16)
"""


def test_imported_after_gradclip():
    assert output_of(PREPARE + WITH_ML_DTYPES + "print(answer(twos))") == "5.0"


def test_imported_before_gradclip():
    assert output_of("import ml_dtypes" + PREPARE + WITH_ML_DTYPES + "print(answer(twos))") == "5.0"


def test_imported_between_calls():
    code = PREPARE + "print(answer(np.ones(7, 'f4')), answer(np.ones(2, 'i4')))"
    code += WITH_ML_DTYPES + "print(answer(twos))"
    assert output_of(code) == "4.0 TypeError\n5.0"


def test_never_imported_by_a_call():
    code = """
for array in (np.ones(3, "f2"), np.ones(3, "i2"), np.zeros(3, "V2"), np.ones(3, object)):
    answer(array)
gradclip.clip_by_global_norm_(np.ones(3, "f2"), 1.0)
gradclip.show_config()
print("ml_dtypes" in sys.modules)
"""
    assert output_of(PREPARE + code).splitlines()[-1] == "False"


def test_imported_once_more():
    code = """
print(answer(twos))
del sys.modules["ml_dtypes"]
print(answer(twos))
import ml_dtypes
print(answer(np.full(4, 2.0, ml_dtypes.bfloat16)))
"""
    assert output_of(PREPARE + WITH_ML_DTYPES + code) == "5.0\n5.0\n5.0"


FAKES = {
    "None": "None",
    "an object": "object()",
    "no module": "types.SimpleNamespace(bfloat16=ml_dtypes.bfloat16)",
    "an empty module": "types.ModuleType('ml_dtypes')",
    "a number": "module_with(3)",
    "a type of NumPy": "module_with(np.float16)",
    "an array": "module_with(np.ones(3))",
    "None in a module": "module_with(None)",
}


@pytest.mark.parametrize("fake", FAKES.values(), ids=FAKES)
def test_other_things_of_that_name_are_no_reason_to_fail(fake):
    code = f"""
def module_with(bfloat16):
    module = types.ModuleType("ml_dtypes")
    module.bfloat16 = bfloat16
    return module

sys.modules["ml_dtypes"] = {fake}
print(answer(np.ones(7)), answer(np.ones(7, "f2")), answer(np.ones(7, "i4")))
print(answer(np.ones(7, ml_dtypes.float8_e4m3fn)))
assert answer(twos) in (5.0, "TypeError")
sys.modules["ml_dtypes"] = ml_dtypes
print(answer(twos))
"""
    expected = "4.0 4.0 TypeError\nTypeError\n5.0"
    assert output_of(PREPARE + WITH_ML_DTYPES + code) == expected


def test_a_type_of_another_size_is_not_read_as_bfloat16():
    code = """
fake = types.ModuleType("ml_dtypes")
fake.bfloat16 = ml_dtypes.float8_e4m3fn
sys.modules["ml_dtypes"] = fake
print(answer(np.ones(7, ml_dtypes.float8_e4m3fn)))
"""
    assert output_of(PREPARE + WITH_ML_DTYPES + code) == "TypeError"


@pytest.mark.parametrize("isa", ["scalar", ""])
def test_the_first_call_of_a_process_may_be_on_bfloat16(isa):
    code = """
array = np.full(10_000, 0.5, ml_dtypes.bfloat16)
norm = gradclip.clip_by_global_norm_(array, 25.0)
print(norm, float(array[0]), float(array[-1]))
"""
    assert output_of(PREPARE + WITH_ML_DTYPES + code, GRADCLIP_ISA=isa) == "50.0 0.25 0.25"
