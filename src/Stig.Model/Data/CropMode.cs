using System.Text.Json.Serialization;

namespace Stig.Model.Data;

/// <summary>How an image of any size becomes a square one.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<CropMode>))]
public enum CropMode
{
    /// <summary>A square window at a position drawn anew each time. No pixel is changed, so the spectrum's artefacts stay as
    /// they are.</summary>
    Random,

    /// <summary>The square window in the middle. No pixel is changed.</summary>
    Center,

    /// <summary>The whole image, resampled to the square whatever its aspect ratio. Scaling down removes the highest
    /// frequencies and with them part of the artefacts that are to be learnt; scaling up adds some of its own.</summary>
    Resize,
}
