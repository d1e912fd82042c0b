package ecs

// What a task on Fargate has on disk, in GiB
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-storage.html).
const (
	defaultStorage = 20
	minStorage     = 21 // that can be asked for
	maxStorage     = 200
	storageSlack   = 2 // for logs and what programs write
)

// unpacking is what an image takes on disk for each compressed byte, where
// nobody knows better.
const unpacking = 2.5

// Footprint is what the image takes on disk.
func (i Image) Footprint() int64 {
	if i.Unpacked > 0 {
		return i.Unpacked
	}
	return int64(float64(i.Size) * unpacking)
}

// raiseStorage makes room on Fargate: what Docker would have unpacked beside
// the root file system is in it now, all containers on one disk.
func (r *rendering) raiseStorage() {
	var bytes int64
	for _, m := range r.moves {
		if m.image != nil {
			bytes += m.image.Footprint()
		}
	}
	if bytes == 0 || !r.def.fargate() {
		return
	}
	need := ceil(bytes, 1<<30) + storageSlack
	storage := r.def.root.Object("ephemeralStorage")
	has := orDefault(storage, "sizeInGiB", defaultStorage)
	if need <= has {
		return
	}
	if need > maxStorage && !r.refuse(ruleStorage, "ephemeralStorage.sizeInGiB", "the images need about %d GiB, and Fargate has %d at most", need, maxStorage) {
		return
	}
	need = max(minStorage, min(need, maxStorage))
	if need <= has {
		return
	}
	if storage == nil {
		storage = NewObject()
		r.def.root.Set("ephemeralStorage", storage)
	}
	storage.Set("sizeInGiB", number(need))
	r.tell(Adapt, ruleStorage, "ephemeralStorage.sizeInGiB", "%d, because the images take about %d GiB on disk", need, ceil(bytes, 1<<30))
}
