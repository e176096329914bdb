"""A text-to-image pipeline of every family, a few thousand random weights each, built from configs without a network.

Their tokenizers know single letters. Pictures are 8 px, Sana's 32.
"""

from __future__ import annotations

import string

import diffusers
import torch
import transformers

LETTERS = string.ascii_lowercase + string.digits + ".,()-"
WIDTH = 16


def clip_tokenizer():
    known = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(letter + "</w>" for letter in LETTERS)]
    vocab = {token: row for row, token in enumerate(known)}
    return transformers.CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def clip(projected=False):
    config = transformers.CLIPTextConfig(
        vocab_size=2 + 2 * len(LETTERS), hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=WIDTH, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return (transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel)(config).eval()


def t5_tokenizer():
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    return transformers.T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=512)


def t5(width=WIDTH):
    config = transformers.T5Config(
        vocab_size=4 + len(LETTERS), d_model=width, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2
    )
    return transformers.T5EncoderModel(config).eval()


def gemma_tokenizer():
    known = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    return transformers.GemmaTokenizer(vocab={token: row for row, token in enumerate(known)}, merges=[])


def gemma():
    config = transformers.Gemma2Config(
        vocab_size=6 + len(LETTERS), hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    return transformers.Gemma2Model(config).eval()


def kl(channels=3, **more):
    return diffusers.AutoencoderKL(
        in_channels=channels, out_channels=channels, block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        **{"scaling_factor": 0.5, **more},
    )  # fmt: skip


def unet(**more):
    usual = {
        "sample_size": 4, "in_channels": 4, "out_channels": 4, "block_out_channels": (8, 16), "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": WIDTH, "norm_num_groups": 4, "attention_head_dim": 2,
    }  # fmt: skip
    return diffusers.UNet2DConditionModel(**{**usual, **more})


def ddim(**more):
    return diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, **more,
    )  # fmt: skip


def stable_diffusion(channels=3, scheduler=None, **more):
    return diffusers.StableDiffusionPipeline(
        vae=kl(channels), text_encoder=clip(), tokenizer=clip_tokenizer(), unet=unet(**more), scheduler=scheduler or ddim(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def consistency():
    return diffusers.LatentConsistencyModelPipeline(
        vae=kl(), text_encoder=clip(), tokenizer=clip_tokenizer(), unet=unet(time_cond_proj_dim=8),
        scheduler=diffusers.LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def sdxl(scheduler=None):
    net = unet(
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        cross_attention_dim=2 * WIDTH, use_linear_projection=True,
    )  # fmt: skip
    euler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=kl(scaling_factor=0.13), text_encoder=clip(), text_encoder_2=clip(projected=True), tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(), unet=net, scheduler=scheduler or euler, add_watermarker=False,
    )  # fmt: skip


def turbo():
    return sdxl(
        diffusers.EulerAncestralDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
        )
    )


def sd3():
    net = diffusers.SD3Transformer2DModel(
        sample_size=4, patch_size=2, in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=2 * WIDTH, caption_projection_dim=WIDTH, pooled_projection_dim=2 * WIDTH, pos_embed_max_size=8,
    )  # fmt: skip
    return diffusers.StableDiffusion3Pipeline(
        transformer=net, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=kl(shift_factor=0.1),
        text_encoder=clip(projected=True), tokenizer=clip_tokenizer(), text_encoder_2=clip(projected=True),
        tokenizer_2=clip_tokenizer(), text_encoder_3=t5(2 * WIDTH), tokenizer_3=t5_tokenizer(),
    )  # fmt: skip


def pixart(kind=diffusers.PixArtAlphaPipeline, sample_size=128, **more):
    net = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=8, num_layers=1, cross_attention_dim=24,
        sample_size=sample_size, caption_channels=WIDTH, **more,
    )  # fmt: skip
    scheduler = diffusers.DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
    return kind(tokenizer=t5_tokenizer(), text_encoder=t5(), vae=kl(), transformer=net, scheduler=scheduler)


def pixart_sigma():
    return pixart(diffusers.PixArtSigmaPipeline, 4, use_additional_conditions=False)


def sana():
    net = diffusers.SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1, num_cross_attention_heads=2,
        cross_attention_head_dim=8, cross_attention_dim=WIDTH, caption_channels=WIDTH, sample_size=16,
    )  # fmt: skip
    vae = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=4, encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        encoder_block_types="ResBlock", decoder_block_types="ResBlock", encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()), scaling_factor=0.4,
    )  # fmt: skip
    scheduler = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return diffusers.SanaPipeline(
        tokenizer=gemma_tokenizer(), text_encoder=gemma(), vae=vae, transformer=net, scheduler=scheduler
    )


def flux(guidance=True):
    net = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=guidance, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=guidance, base_shift=0.5, max_shift=1.15)
    return diffusers.FluxPipeline(
        scheduler=scheduler, vae=kl(shift_factor=0.1), text_encoder=clip(), tokenizer=clip_tokenizer(), text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(), transformer=net,
    )  # fmt: skip


BUILDERS = {
    build.__name__: build
    for build in (stable_diffusion, consistency, sdxl, turbo, sd3, pixart, pixart_sigma, sana, flux)
}


def tiny(name, **settings):
    """The pipeline of this name, its weights the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = BUILDERS[name](**settings)
    pipe.set_progress_bar_config(disable=True)
    return pipe
