# shellcheck shell=bash disable=SC2034
# shellcheck disable=SC2154 # run.sh sets datadir
# mini_librispeech (OpenSLR 31): 5 hours of training speech.
train_parts=(train-clean-5)
dev_parts=(dev-clean-2)
test_parts=(dev-clean-2)
if [[ ! -d $datadir/LibriSpeech/dev-clean-2 && -d $datadir/LibriSpeech/dev-mini ]]; then
  # A folder with parts of LibriSpeech but without the official dev set: dev-mini (chapters of train-clean-100)
  # stands in for it, and a few utterances of test-other are the test set. Figures are not the official ones.
  dev_parts=(dev-mini)
  test_parts=(dev-mini test-other-mini)
  if [[ -d $datadir/LibriSpeech/train-clean-100-1utt ]]; then
    train_parts+=(train-clean-100-1utt)
  fi
fi
train_config=conf/mini.yaml
nbpe=30
bpe_type=char
average_num=1
nproc=2
