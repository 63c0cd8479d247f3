using System.Text.Json.Serialization;
using Stig.Model.Networks;

namespace Stig.Model.Translation;

/// <summary>What a model does to the log magnitude of a spectrum.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Preset>))]
public enum Preset
{
    /// <summary>
    /// The closed form, a smoothed filter and a map of each image's spectral levels, on top of it a network that learns a residual with the
    /// paper's losses, and a gate that leaves real images alone.
    /// </summary>
    Default,

    /// <summary>The reference implementation's behaviour number for number, its slips included (docs/method.md lists them).</summary>
    Official,

    /// <summary>The closed form alone: mean log magnitude of the real images minus that of the fake ones is added.</summary>
    Filter,
}

/// <summary>Everything that decides how a model computes, apart from its weights; stored in every checkpoint.</summary>
/// <param name="Preset">What the model does to the log magnitude.</param>
/// <param name="Size">Height and width in pixels of the images it was trained at.</param>
/// <param name="Width">Channels of the generator's uppermost level (64 in the paper); 0 without a network.</param>
/// <param name="Normalization">Statistics of the generator's normalisation.</param>
/// <param name="ResidualGain">
/// For <see cref="Preset.Default"/>: the largest change, in nats of log magnitude, that the network can make.
/// </param>
public sealed record ModelArchitecture(Preset Preset, int Size, int Width, NormalizationMode Normalization, double ResidualGain = 1)
{
    /// <summary>Radius in bins, at <see cref="Size"/>, of the disc around zero frequency that the filter leaves alone.</summary>
    public const int ProtectedRadius = 8;

    /// <summary>Whether the model has a closed-form filter.</summary>
    [JsonIgnore]
    public bool HasFilter => Preset != Preset.Official;

    /// <summary>Whether the model moves spectral levels (docs/method.md, "Levels").</summary>
    [JsonIgnore]
    public bool HasLevels => Preset == Preset.Default;

    /// <summary>Whether the model has a generator network.</summary>
    [JsonIgnore]
    public bool HasNetwork => Preset != Preset.Filter;

    /// <summary>Heights and widths that the model takes are multiples of this; others are padded by reflection and cropped back.</summary>
    [JsonIgnore]
    public int SizeMultiple => HasNetwork ? NestedUNet.SizeMultiple : 1;

    /// <summary>Nodes along each axis of the grid of spectral levels.</summary>
    [JsonIgnore]
    public int LevelGrid => LevelTransport.GridOf(Size);

    /// <summary>Smallest height and width that the model takes; smaller images are padded by reflection and cropped back.</summary>
    [JsonIgnore]
    public int MinimumSize => HasLevels ? 2 * LevelGrid : 1;

    internal LevelGate Gate => new(LevelGrid);

    internal NestedUNet Generator => new(Width, ZeroOutput: Preset == Preset.Default);
}
