"""GPT-NeoX and Pythia: attention and MLP side by side on one input, or one after the other."""

from evop.model.families.family import Block, Family, Refusal, Sliced

PARALLEL = Refusal(
    "attention and MLP of a layer read the same input (use_parallel_residual), so no stock model lacks one of them; "
    "use --grain layer or channel, or --deploy any",
    grains=("subblock", "head", "mixed"),
    deploys=("stock",),
    when=lambda config: config.use_parallel_residual,
)

GPT_NEOX = Family(
    model_types=("gpt_neox",),
    layers="gpt_neox.layers",
    attn=Block(
        "attention",
        norms=("input_layernorm",),
        adds="attention",
        out="attention.dense",
        returns=2,
        # Query, key and value of one head lie side by side, so a head is one run of outputs.
        slices=(Sliced("attention.query_key_value", 0), Sliced("attention.dense", 1, bias=False)),
    ),
    mlp=Block(
        "mlp",
        norms=("post_attention_layernorm",),
        adds="mlp",
        out="mlp.dense_4h_to_h",
        slices=(Sliced("mlp.dense_h_to_4h", 0), Sliced("mlp.dense_4h_to_h", 1, bias=False)),
    ),
    parallel="use_parallel_residual",
    refusals=(PARALLEL,),
)
