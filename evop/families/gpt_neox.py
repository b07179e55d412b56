"""GPT-NeoX and Pythia: attention and MLP side by side on one input, or one after the other."""

from evop.families.family import Block, Family, Refusal

PARALLEL = Refusal(
    "attention and MLP of a layer read the same input (use_parallel_residual), so no stock model lacks one of them; "
    "use --grain layer, or --deploy any",
    grains=("subblock",),
    deploys=("stock",),
    when=lambda config: config.use_parallel_residual,
)

GPT_NEOX = Family(
    model_types=("gpt_neox",),
    layers="gpt_neox.layers",
    attn=Block("attention", norms=("input_layernorm",), returns=2),
    mlp=Block("mlp", norms=("post_attention_layernorm",)),
    parallel="use_parallel_residual",
    refusals=(PARALLEL,),
)
