"""Processors, from recorded texts."""

from __future__ import annotations

import pytest

from sightline.doctor.cpu import bf16_pays, named_features, parse_cpuinfo

# Shortened where a flag says nothing here; names, order and layout as the kernel prints them.
EPYC_MILAN = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC 7763 64-Core Processor
cpu MHz\t\t: 2445.430
flags\t\t: fpu vme sse sse2 ssse3 fma sse4_1 sse4_2 avx f16c avx2 bmi2 sha_ni vaes

processor\t: 1
model name\t: AMD EPYC 7763 64-Core Processor
flags\t\t: fpu vme sse sse2
"""
EPYC_GENOA = """processor\t: 0
model name\t: AMD EPYC 9654 96-Core Processor
flags\t\t: fpu sse4_2 avx avx2 avx512f avx512dq avx512bw avx512vl avx512_bf16 avx512_vnni avx512_bitalg
"""
SAPPHIRE_RAPIDS = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: avx avx2 avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8 avx_vnni
"""
ATOM = """processor\t: 0
model name\t: Intel(R) Celeron(R) J4125 CPU @ 2.00GHz
flags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 sha_ni
"""
GRAVITON_3 = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp sve i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd40
"""
RASPBERRY_PI_4 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU part\t: 0xd08

Hardware\t: BCM2835
Model\t\t: Raspberry Pi 4 Model B Rev 1.2
"""


@pytest.mark.parametrize(
    ("text", "name", "features", "pays"),
    [
        ("", "", [], False),
        (EPYC_MILAN, "AMD EPYC 7763 64-Core Processor", ["AVX2"], False),
        (EPYC_GENOA, "AMD EPYC 9654 96-Core Processor", ["AVX2", "AVX-512", "VNNI", "BF16"], True),
        (
            SAPPHIRE_RAPIDS,
            "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
            ["AVX2", "AVX-512", "VNNI", "BF16", "AMX"],
            True,
        ),
        (ATOM, "Intel(R) Celeron(R) J4125 CPU @ 2.00GHz", [], False),
        (GRAVITON_3, "", ["BF16", "NEON"], True),
        (RASPBERRY_PI_4, "BCM2835", ["NEON"], False),
    ],
    ids=["nothing", "milan", "genoa", "sapphire-rapids", "atom", "graviton", "raspberry-pi"],
)
def test_cpuinfo(text: str, name: str, features: list[str], pays: bool) -> None:
    found, flags = parse_cpuinfo(text)
    assert found == name
    assert named_features(flags) == features
    assert bf16_pays(flags) is pays
