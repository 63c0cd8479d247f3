namespace Stig.Model.Data;

/// <summary>How an <see cref="UnpairedDataset"/> draws its batches.</summary>
public sealed record DatasetOptions
{
    /// <summary>Side S of the square images in pixels, at least 1.</summary>
    public int Size { get; init; } = 256;

    /// <summary>Images B of each domain in a batch, at least 1.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>How images become squares.</summary>
    public CropMode Crop { get; init; } = CropMode.Random;

    /// <summary>Decides on every drawing.</summary>
    public ulong Seed { get; init; }

    /// <summary>As the reference implementation of STIG does: real and fake images are taken in the files' order, never
    /// shuffled, the n-th real with the n-th fake, and resized with a triangle filter instead of Lanczos's. What one set has
    /// more than the other stays unused.</summary>
    public bool OfficialPairing { get; init; }

    /// <summary>Bytes of decoded images that are kept, at least 0. What fits is decoded once, the rest each time it is
    /// drawn.</summary>
    public long CacheBytes { get; init; } = 512L << 20;

    /// <summary>Receives one line for each file that is skipped because it cannot be decoded. Called on whichever thread comes
    /// upon it.</summary>
    public Action<string>? Report { get; init; }
}
