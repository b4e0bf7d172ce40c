package journal

type sqlite struct{ j *Journal }
