"""Architectures of known repositories, for tests."""

from planning.sizing.model_file import architecture_of

DEEPSEEK_V3 = architecture_of("deepseek-ai/DeepSeek-V3")
DEEPSEEK_V2 = architecture_of("deepseek-ai/DeepSeek-V2")
DEEPSEEK_V2_LITE = architecture_of("deepseek-ai/DeepSeek-V2-Lite")
KIMI_K2 = architecture_of("moonshotai/Kimi-K2-Instruct")
LLAMA_3_70B = architecture_of("deepseek-ai/DeepSeek-R1-Distill-Llama-70B")
QWEN_2_32B = architecture_of("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B")
QWEN_3_8B = architecture_of("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B")
