package pull

// SetInterval sets how many bytes are between checkpoints.
func (p *Puller) SetInterval(n int64) { p.interval = n }
