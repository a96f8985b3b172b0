"""How variants are made; a recipe's name is its variant's `recipe`.

Most are a function from a source to an ONNX file. MODULE_RECIPES change the loaded PyTorch module instead: they make no
file, and only the pytorch backend runs them.
"""

RECIPES = {
    "given": "runner.recipes.given:build",
    "export": "runner.recipes.export:build",
    "onnxruntime-dynamic": "runner.recipes.onnxruntime_quantize:build_dynamic",
    "onnxruntime-static": "runner.recipes.onnxruntime_static:build",
    "modelopt": "runner.recipes.modelopt:build",
    "modelopt-autocast": "runner.recipes.modelopt:cast",
    "onnx-fp16": "runner.recipes.onnx_fp16:build",
    "codebook": "runner.recipes.codebook:build",
}
"""Name -> `module:function`, imported on first use. Functions take (Ingredients) and write `Ingredients.target`."""

MODULE_RECIPES = {
    "torch-dynamic": "runner.recipes.torch_modules:quantize_dynamic",
    "torch-dtype": "runner.recipes.torch_modules:cast",
    "torch-compile": "runner.recipes.torch_modules:compile_module",
    "codebook-linear": "runner.recipes.codebook_modules:quantize_codebook",
    "bitsandbytes": "runner.recipes.torch_modules:quantize_bitsandbytes",
}
"""Name -> `module:function`. Functions take (module, options) and return the module that runs."""

ENGINE_RECIPES = {"tensorrt": "runner.recipes.tensorrt_build:build"}
"""Name -> `module:function`: what a backend makes of an ONNX file before it can run it. Functions take (Ingredients) and return their settings."""
