# shellcheck shell=bash disable=SC2034
# A small-vocabulary corpus that stage 0 synthesises: no network, minutes on a laptop.
train_parts=(smoke-train)
dev_parts=(smoke-dev)
test_parts=(smoke-test)
train_config=conf/smoke.yaml
nbpe=29
bpe_type=char
average_num=3
nproc=2
