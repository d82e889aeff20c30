# git: a repository's life, with fixed dates and names, so every hash is known.
set -eu
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_AUTHOR_DATE='2001-02-03T04:05:06Z' GIT_COMMITTER_DATE='2001-02-03T04:05:06Z' GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
git init -q -b main repo; cd repo; git config gc.auto 0; git config advice.detachedHead false
for i in $(seq 1 12); do seq 1 $((i * 20)) > file$((i % 4)); mkdir -p d; echo $i > d/n$i; git add -A; git commit -q -m "commit $i"; done
git log --oneline | head -3; git rev-parse HEAD; git log --stat -1 --format=%s; git diff HEAD~2 --shortstat
git checkout -q -b side HEAD~4; echo side > side; git add side; git commit -q -m side; git checkout -q main; git merge -q --no-edit side; git log --graph --format=%s -4; git tag -a v1 -m one; git describe
git checkout -q -b work; sed -i 's/^5$/five/' file0; git stash -q; git stash pop -q; git commit -qam five; git rebase -q main; git cherry-pick --allow-empty side > /dev/null 2>&1 || git cherry-pick --skip > /dev/null 2>&1 || true; git format-patch -1 --stdout HEAD | tail -12 | head -6
git gc -q --aggressive --prune=now; git count-objects -v | grep -E '^(count|packs|in-pack|prune-packable|garbage)'; git fsck --full --strict 2>&1 | grep -c error || true; git verify-pack -v .git/objects/pack/*.idx | grep -c blob
cd ..; git clone -q repo copy; cd copy; git checkout -q v1; git rev-parse HEAD; git blame -s file1 | tail -2; git grep -n '^7$' -- 'file*'; git archive HEAD | tar t | wc -l; git bundle create -q ../b.bundle --all; git bundle verify -q ../b.bundle && echo bundle is fine
git bisect start HEAD HEAD~8 > /dev/null; git bisect run sh -c '[ "$(wc -l < file1)" -lt 150 ]' 2>&1 | grep -c 'first bad commit$'; git bisect reset 2> /dev/null; git worktree add -q ../tree v1; ls ../tree | wc -l; git submodule status; git rev-list --count --all
