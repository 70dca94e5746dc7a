# shellcheck shell=bash disable=SC2034
# The 100 hours of LibriSpeech's train-clean-100 (OpenSLR 12).
train_parts=(train-clean-100)
dev_parts=(dev-clean dev-other)
test_parts=(dev-clean dev-other test-clean test-other)
train_config=conf/u2pp_conformer_3m.yaml
nbpe=1000
bpe_type=unigram
average_num=10
