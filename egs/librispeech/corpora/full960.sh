# shellcheck shell=bash disable=SC2034
# All of LibriSpeech (OpenSLR 12): 960 hours.
train_parts=(train-clean-100 train-clean-360 train-other-500)
dev_parts=(dev-clean dev-other)
test_parts=(dev-clean dev-other test-clean test-other)
train_config=conf/u2pp_conformer_3m.yaml
nbpe=5000
bpe_type=unigram
average_num=10
