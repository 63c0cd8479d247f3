using System.Text.Json.Serialization;
using Stig.Model.Networks;
using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>Weights of the terms of the generator's loss (docs/method.md, "Losses").</summary>
/// <param name="Adversarial">Patch discriminator on translated spectra.</param>
/// <param name="Profile">Spectral discriminator on ring profiles.</param>
/// <param name="Contrastive">PatchNCE, translated and identity path together.</param>
/// <param name="Identity">1 - SSIM between a real image and itself passed through the model.</param>
/// <param name="Similarity">1 - SSIM between a fake image and its refined image.</param>
/// <param name="LowFrequency">Root mean square change of the central part of the spectra.</param>
public sealed record LossWeights(
    double Adversarial = 3, double Profile = 3, double Contrastive = 10, double Identity = 3, double Similarity = 1,
    double LowFrequency = 3);

/// <summary>Everything that decides a training run, apart from the images; stored in the run folder and in every checkpoint.</summary>
public sealed record TrainingOptions
{
    /// <summary>What is trained.</summary>
    public Preset Preset { get; init; } = Preset.Default;

    /// <summary>Height and width of the training images in pixels; a multiple of 16.</summary>
    public int Size { get; init; } = 256;

    /// <summary>Channels of the generator's and the discriminator's first level.</summary>
    public int Width { get; init; } = 64;

    /// <summary>Pairs of a fake and a real image a step.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Number of steps.</summary>
    public long Steps { get; init; } = 1000;

    /// <summary>Training pairs in an epoch; the official schedule counts in epochs. 0 where it does not matter.</summary>
    public int StepsPerEpoch { get; init; }

    /// <summary>Epochs, for the official schedule; 0 where it does not matter.</summary>
    public int Epochs { get; init; }

    /// <summary>Learning rate of all optimizers at the start.</summary>
    public double LearningRate { get; init; } = 8e-5;

    /// <summary>Decay of Adam's first moment.</summary>
    public double Beta1 { get; init; } = 0.5;

    /// <summary>Decay of Adam's second moment.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Adam's epsilon.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Statistics of the generator's normalisation.</summary>
    public NormalizationMode Normalization { get; init; } = NormalizationMode.PerImage;

    /// <summary>Largest change in nats of log magnitude that the network of the default preset can make.</summary>
    public double ResidualGain { get; init; } = 1;

    /// <summary>Weights of the generator's losses.</summary>
    public LossWeights Losses { get; init; } = new();

    /// <summary>Encoder levels whose features the contrastive loss compares: 1 (what the reference computes) to 5 (what it
    /// means).</summary>
    public int ContrastiveLevels { get; init; } = 5;

    /// <summary>Positions sampled a level for the contrastive loss.</summary>
    public int Patches { get; init; } = 256;

    /// <summary>Width of the projection heads.</summary>
    public int ProjectionDimensions { get; init; } = 256;

    /// <summary>Temperature of the contrastive loss.</summary>
    public double Temperature { get; init; } = 0.07;

    /// <summary>Half side, in bins, of the central box whose change the low-frequency loss measures.</summary>
    public int LowFrequencyRadius { get; init; } = 8;

    /// <summary>Seed of the weights, the pairing, the crops and the sampled positions.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>The architecture of the model that these options train.</summary>
    [JsonIgnore]
    public ModelArchitecture Architecture =>
        new(Preset, Size, Preset == Preset.Filter ? 0 : Width, Normalization, ResidualGain);

    /// <summary>The options of a preset: the reference implementation's for <see cref="Preset.Official"/>, ours otherwise.</summary>
    public static TrainingOptions For(Preset preset) => preset switch
    {
        Preset.Official => new TrainingOptions
        {
            Preset = preset,
            Normalization = NormalizationMode.Batch,
            ContrastiveLevels = 1,
        },
        Preset.Default => new TrainingOptions
        {
            Preset = preset,
            LearningRate = 2e-4,
            Losses = new LossWeights(Contrastive: 1),
        },
        _ => new TrainingOptions { Preset = preset },
    };

    /// <summary>Checks what can be checked without images.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it and the range.</exception>
    public void Validate()
    {
        int multiple = Architecture.SizeMultiple;
        Check(Size >= 2 * LowFrequencyRadius && Size % multiple == 0, nameof(Size),
            $"at least {2 * LowFrequencyRadius} and a multiple of {multiple}", Size);
        Check(Preset == Preset.Filter || Width is >= 1 and <= 1024, nameof(Width), "from 1 to 1024", Width);
        Check(Batch is >= 1 and <= 4096, nameof(Batch), "from 1 to 4096", Batch);
        Check(Steps >= 1, nameof(Steps), "at least 1", Steps);
        Check(LearningRate > 0 && double.IsFinite(LearningRate), nameof(LearningRate), "positive", LearningRate);
        Check(Beta1 is >= 0 and < 1, nameof(Beta1), "in [0, 1)", Beta1);
        Check(Beta2 is >= 0 and < 1, nameof(Beta2), "in [0, 1)", Beta2);
        Check(ContrastiveLevels is >= 1 and <= NestedUNet.Levels, nameof(ContrastiveLevels), $"from 1 to {NestedUNet.Levels}",
            ContrastiveLevels);
        Check(Patches >= 1, nameof(Patches), "at least 1", Patches);
        Check(ProjectionDimensions >= 1, nameof(ProjectionDimensions), "at least 1", ProjectionDimensions);
        Check(Temperature > 0, nameof(Temperature), "positive", Temperature);
        Check(ResidualGain > 0, nameof(ResidualGain), "positive", ResidualGain);
    }

    private static void Check<T>(bool condition, string name, string range, T value)
    {
        if (!condition)
        {
            throw new ArgumentException($"{name} must be {range}; it is {value}.");
        }
    }
}
