"""The two native modules; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools_rust import Binding, RustExtension

setup(
    ext_modules=cythonize(
        [
            Extension(
                "rivven_kafka._events",
                ["python/rivven_kafka/_events.pyx"],
                extra_compile_args=["-O3", "-g0"],
            )
        ],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "autotestdict": False, "embedsignature": True},
    ),
    rust_extensions=[
        RustExtension(
            "rivven_kafka._native",
            path="ext/Cargo.toml",
            binding=Binding.PyO3,
            debug=False,
            cargo_manifest_args=["--locked"],
        )
    ],
)
