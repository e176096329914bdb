"""Image-to-text models of the kinds there are, a few thousand random weights each, built from configs without a network.

Their tokenizers know single words and letters.
"""

from __future__ import annotations

import string

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<image>", "USER:", "ASSISTANT:", *string.ascii_lowercase]
WIDTH = 16
SPECIAL = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
TEXT = {"vocab_size": len(WORDS), "hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": WIDTH, "max_position_embeddings": 128}  # fmt: skip
VISION = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": WIDTH,
          "image_size": 16, "patch_size": 8}  # fmt: skip


def tokenizer():
    whole = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    whole.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=whole, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", bos_token="[CLS]",
        eos_token="[SEP]", extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip


def blip():
    """Describes unasked, by a processor of pictures and texts."""
    config = transformers.BlipConfig(
        text_config={**TEXT, **SPECIAL, "encoder_hidden_size": WIDTH, "sep_token_id": 3},
        vision_config=VISION, projection_dim=WIDTH, image_text_hidden_size=WIDTH,
    )  # fmt: skip
    pictures = transformers.BlipImageProcessor(size={"height": 16, "width": 16})
    bert = transformers.BertTokenizer(vocab={word: row for row, word in enumerate(WORDS)})
    return transformers.BlipForConditionalGeneration(config), transformers.BlipProcessor(pictures, bert), None


def pair():
    """An encoder of pictures and a decoder of texts that know nothing of each other, as ViT-GPT2."""
    gpt = transformers.GPT2Config(
        vocab_size=len(WORDS), n_embd=WIDTH, n_layer=1, n_head=2, n_positions=64, bos_token_id=2, eos_token_id=3,
        add_cross_attention=True, is_decoder=True,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(transformers.ViTConfig(**VISION), gpt)
    model = transformers.VisionEncoderDecoderModel(config)
    model.generation_config = transformers.GenerationConfig(decoder_start_token_id=2, eos_token_id=3, pad_token_id=0)
    return model, transformers.ViTImageProcessor(size={"height": 16, "width": 16}), tokenizer()


def llava():
    """Chats: it is told what to do with the picture."""
    config = transformers.LlavaConfig(
        vision_config={**VISION, "model_type": "clip_vision_model"},
        text_config={**TEXT, **SPECIAL, "model_type": "llama", "num_key_value_heads": 2},
        image_token_id=WORDS.index("<image>"), vision_feature_layer=-1,
    )  # fmt: skip
    pictures = transformers.CLIPImageProcessor(
        size={"height": 16, "width": 16}, crop_size={"height": 16, "width": 16}, do_center_crop=False
    )
    template = (
        "USER: {% for part in messages[0].content %}{% if part.type == 'image' %}<image> {% else %}{{ part.text }} {% endif %}"
        "{% endfor %}ASSISTANT:"
    )
    processor = transformers.LlavaProcessor(
        pictures, tokenizer(), patch_size=8, vision_feature_select_strategy="default", chat_template=template,
        num_additional_image_tokens=1,
    )  # fmt: skip
    return transformers.LlavaForConditionalGeneration(config), processor, None


BUILDERS = {build.__name__: build for build in (blip, pair, llava)}


def tiny(name):
    """Model, processor and, where it stands alone, tokenizer; the weights are the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model, processor, tokens = BUILDERS[name]()
        for weight in model.parameters():
            if weight.dim() > 1:  # as they are made, they describe every picture alike
                torch.nn.init.normal_(weight, std=0.6)
    return model.eval(), processor, tokens
